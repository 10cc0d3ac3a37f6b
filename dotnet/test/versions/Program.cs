// Answers with the versions of its two assemblies; they are the same, unless somebody has mixed them.

var app = WebApplication.CreateBuilder(args).Build();
app.Run(context =>
{
    // The second assembly is loaded at the first request, which may come long after a deployment.
    var text = $"{typeof(Program).Assembly.GetName().Version!.ToString(1)} {Part.Label.Version}";
    context.Response.ContentLength = text.Length;
    return context.Response.WriteAsync(text);
});
app.Run();
