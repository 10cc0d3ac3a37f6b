// An ordinary ASP.NET Core application for the end-to-end tests. Every public static method of the
// classes in this folder that takes an HttpContext is an endpoint of that name; the first segment of
// a path selects it and moves to PathBase. Arguments of the form `name=value` change the start:
//
//   limit=N       the server's MaxRequestBodySize
//   latin1=true   request headers are Latin-1
//   https=true    requests are redirected to https
//   shutdown=N    seconds that the host waits when it stops

using System.Globalization;
using System.Reflection;
using System.Text;

using Microsoft.AspNetCore.Server.Kestrel.Core;

var settings = args
    .Select(argument => argument.Split('=', 2))
    .Where(parts => parts.Length == 2)
    .ToDictionary(parts => parts[0], parts => parts[1]);

if (settings.ContainsKey("latin1"))
{
    AppContext.SetSwitch("Microsoft.AspNetCore.Server.IIS.Latin1RequestHeaders", true);
}

Console.WriteLine("TEST MESSAGE");

var builder = WebApplication.CreateBuilder();
builder.Services.Configure<IISServerOptions>(options =>
{
    if (settings.TryGetValue("limit", out var limit))
    {
        options.MaxRequestBodySize = long.Parse(limit, CultureInfo.InvariantCulture);
    }
});
builder.Services.Configure<KestrelServerOptions>(options =>
{
    if (settings.TryGetValue("limit", out var limit))
    {
        options.Limits.MaxRequestBodySize = long.Parse(limit, CultureInfo.InvariantCulture);
    }

    if (settings.ContainsKey("latin1"))
    {
        options.RequestHeaderEncodingSelector = _ => Encoding.Latin1;
    }
});
if (settings.TryGetValue("shutdown", out var seconds))
{
    builder.Services.Configure<HostOptions>(options =>
        options.ShutdownTimeout = TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture)));
}

var endpoints = Assembly.GetExecutingAssembly().GetTypes()
    .Where(type => type.Namespace == "Site")
    .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.DeclaredOnly))
    .Where(method => method.ReturnType == typeof(Task)
        && method.GetParameters() is [{ } only] && only.ParameterType == typeof(HttpContext))
    .ToDictionary(
        method => method.Name,
        method => method.CreateDelegate<RequestDelegate>(),
        StringComparer.OrdinalIgnoreCase);

var app = builder.Build();
if (settings.ContainsKey("https"))
{
    app.UseHttpsRedirection();
}

app.UseWebSockets();
app.Run(context =>
{
    var path = context.Request.Path.Value ?? "";
    var end = path.Length > 1 ? path.IndexOf('/', 1) : -1;
    var first = end < 0 ? path : path[..end];
    if (first.Length > 1 && endpoints.TryGetValue(first[1..], out var endpoint))
    {
        context.Request.PathBase = context.Request.PathBase.Add(new PathString(first));
        // A plain string would be decoded once more.
        context.Request.Path = new PathString(path[first.Length..]);
        return endpoint(context);
    }

    context.Response.StatusCode = StatusCodes.Status404NotFound;
    return context.Response.WriteAsync("no such endpoint");
});
app.Run();
