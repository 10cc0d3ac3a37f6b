// An application as tutorials and templates build theirs: endpoints with bound parameters, groups
// and filters, controllers with several formats, pages rendered on the server, tokens, metrics.

using Microsoft.AspNetCore.CookiePolicy;

using Market;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Error);
var serverLog = new ServerLog();
builder.Logging.AddProvider(serverLog);
builder.Logging.AddFilter<ServerLog>(null, LogLevel.Debug);
builder.Services.AddProblemDetails();
builder.Services.AddControllers().AddXmlSerializerFormatters();
builder.Services.AddRazorComponents();
builder.Services.AddAntiforgery();
builder.Services.AddAuthentication().AddBearerToken();
builder.Services.AddAuthorization();
builder.Services.AddSingleton<Observer>();
builder.Services.AddTodos();
builder.Services.Configure<CookiePolicyOptions>(options =>
{
    options.CheckConsentNeeded = context => context.Request.Path.StartsWithSegments("/cookies");
    options.HttpOnly = HttpOnlyPolicy.Always;
    options.MinimumSameSitePolicy = SameSiteMode.Lax;
});

var app = builder.Build();
_ = app.Services.GetRequiredService<Observer>();
app.UseBareBranch(serverLog);
app.Use((context, next) =>
{
    // So that what is measured can be told apart.
    if (context.Request.Headers["X-Seen"].ToString() is { Length: > 0 } name)
    {
        System.Diagnostics.Activity.Current?.SetTag("seen.path", name);
    }

    return next(context);
});
app.UseExceptionHandler(new ExceptionHandlerOptions { ExceptionHandlingPath = "/oops", AllowStatusCode404Response = true });
app.UseStatusCodePagesWithReExecute("/coded/{0}");
app.UseUploadBranches();
app.UseCookiePolicy();
app.UseRouting();
app.UseAuthentication();
app.UseAuthorization();
app.UseAntiforgery();
app.UseOutputCache();

app.MapControllers();
app.MapRazorComponents<Page>();
Stalls.Map(app);
Todos.Map(app);
Uploads.Map(app);
Rules.Map(app);
Headers.Map(app);
Odd.Map(app);
Tokens.Map(app);
Measures.Map(app);
app.MapFallback(async context =>
{
    context.Response.ContentType = "text/plain";
    await context.Response.WriteAsync($"nothing at {context.Request.Path}");
});
app.Run();
