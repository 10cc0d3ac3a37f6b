using System.Net;
using System.Net.Sockets;

using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace Shapes;

/// <summary>What every shape serves.</summary>
internal static class Endpoints
{
    internal static void Use(IApplicationBuilder app, string shape) => app.Run(context => Serve(context, shape));

    private static async Task Serve(HttpContext context, string shape)
    {
        var services = context.RequestServices;
        switch (context.Request.Path)
        {
            case "/addresses":
                var addresses = services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
                await context.Response.WriteAsync(string.Join(' ', addresses));
                break;
            case "/listens":
                var connection = context.Connection;
                var endPoint = context.Features.Get<IConnectionEndPointFeature>()?.LocalEndPoint
                    ?? new IPEndPoint(connection.LocalIpAddress!, connection.LocalPort);
                await context.Response.WriteAsync($"http://{(endPoint is UnixDomainSocketEndPoint ? "unix:" : "")}{endPoint}");
                break;
            case "/server":
                await context.Response.WriteAsync(services.GetRequiredService<IServer>().GetType().Name);
                break;
            case "/where":
                await context.Response.WriteAsync($"{context.Request.PathBase}|{context.Request.Path}");
                break;
            case "/windows":
                var schemes = services.GetService<IAuthenticationSchemeProvider>();
                var scheme = schemes is null ? null : await schemes.GetSchemeAsync("Windows");
                await context.Response.WriteAsync(scheme?.HandlerType.FullName ?? "none");
                break;
            case "/stop":
                await context.Response.WriteAsync("stopping");
                services.GetRequiredService<IHostApplicationLifetime>().StopApplication();
                break;
            case "/variable":
                await context.Response.WriteAsync(Environment.GetEnvironmentVariable("ASPNETCORE_HOSTINGSTARTUPASSEMBLIES") ?? "none");
                break;
            default:
                await context.Response.WriteAsync(shape);
                break;
        }
    }
}
