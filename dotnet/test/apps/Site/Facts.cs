// What the application sees of its process, its server and its settings.

using System.Globalization;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Facts
{
    public static Task HelloWorld(HttpContext context) => context.Response.WriteAsync("Hello World");

    public static Task ProcessId(HttpContext context)
        => context.Response.WriteAsync(Environment.ProcessId.ToString(CultureInfo.InvariantCulture));

    public static Task Server(HttpContext context)
        => context.Response.WriteAsync(
            context.RequestServices.GetRequiredService<IServer>().GetType().FullName ?? "");

    public static Task ServerAddresses(HttpContext context)
    {
        var server = context.RequestServices.GetRequiredService<IServer>();
        var addresses = server.Features.Get<IServerAddressesFeature>()?.Addresses ?? [];
        return context.Response.WriteAsync(string.Join('\n', addresses));
    }

    public static Task ContentRootPath(HttpContext context)
        => context.Response.WriteAsync(
            context.RequestServices.GetRequiredService<IWebHostEnvironment>().ContentRootPath);

    public static Task WebRootPath(HttpContext context)
        => context.Response.WriteAsync(
            context.RequestServices.GetRequiredService<IWebHostEnvironment>().WebRootPath ?? "(null)");

    public static Task CurrentDirectory(HttpContext context)
        => context.Response.WriteAsync(Environment.CurrentDirectory);

    public static Task BaseDirectory(HttpContext context)
        => context.Response.WriteAsync(AppContext.BaseDirectory);

    public static Task CommandLineArgs(HttpContext context)
        => context.Response.WriteAsync(string.Join('|', Environment.GetCommandLineArgs().Skip(1)));

    public static Task GetEnvironmentVariable(HttpContext context)
        => context.Response.WriteAsync(
            Environment.GetEnvironmentVariable(context.Request.Query["name"].ToString()) ?? "(null)");

    public static Task GetConfiguration(HttpContext context)
    {
        var configuration = context.RequestServices.GetRequiredService<IConfiguration>();
        return context.Response.WriteAsync(configuration[context.Request.Query["name"].ToString()] ?? "(null)");
    }

    public static Task StartupHookRan(HttpContext context)
        => context.Response.WriteAsync(StartupHook.HasRun.ToString());

    public static Task IISEnvironment(HttpContext context)
    {
        var server = context.RequestServices.GetRequiredService<IServer>();
        if (server.Features.Get<Microsoft.AspNetCore.Server.IIS.IIISEnvironmentFeature>() is not { } found)
        {
            return context.Response.WriteAsync("none");
        }

        return context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"""
            IISVersion={found.IISVersion}
            AppPoolId={found.AppPoolId}
            AppPoolConfigFile={found.AppPoolConfigFile}
            AppConfigPath={found.AppConfigPath}
            ApplicationPhysicalPath={found.ApplicationPhysicalPath}
            ApplicationVirtualPath={found.ApplicationVirtualPath}
            ApplicationId={found.ApplicationId}
            SiteName={found.SiteName}
            SiteId={found.SiteId}
            """));
    }

    public static Task EnvironmentName(HttpContext context)
        => context.Response.WriteAsync(
            context.RequestServices.GetRequiredService<IWebHostEnvironment>().EnvironmentName);

    public static Task BodyLimit(HttpContext context)
    {
        var limit = context.Features.Get<IHttpMaxRequestBodySizeFeature>()?.MaxRequestBodySize;
        return context.Response.WriteAsync(limit?.ToString(CultureInfo.InvariantCulture) ?? "null");
    }

    public static Task UpgradeFeatureDetection(HttpContext context)
        => context.Response.WriteAsync(
            context.Features.Get<IHttpUpgradeFeature>() is null ? "Disabled" : "Enabled");

    public static Task Upgradable(HttpContext context)
        => context.Response.WriteAsync(
            (context.Features.Get<IHttpUpgradeFeature>()?.IsUpgradableRequest ?? false).ToString());

    public static Task CheckProtocol(HttpContext context)
        => context.Response.WriteAsync(context.Request.Protocol);

    public static Task TrailersAndReset(HttpContext context)
        => context.Response.WriteAsync(
            $"{context.Features.Get<IHttpResponseTrailersFeature>() is not null} "
            + $"{context.Features.Get<IHttpResetFeature>() is not null}");

    public static Task TlsHandshake(HttpContext context)
        => context.Response.WriteAsync(
            context.Features.Get<Microsoft.AspNetCore.Connections.Features.ITlsHandshakeFeature>() is null
                ? "none" : "some");

    public static async Task ClientCertificate(HttpContext context)
    {
        // First: who asks the connection puts a feature there.
        var feature = context.Features.Get<ITlsConnectionFeature>() is null ? "none" : "some";
        var found = context.Connection.ClientCertificate;
        var asked = await context.Connection.GetClientCertificateAsync(context.RequestAborted);
        await context.Response.WriteAsync(found is null
            ? $"{feature};Disabled;{asked is null}"
            : $"{feature};Enabled;{ReferenceEquals(found, asked)};{found.Thumbprint};{found.Subject}");
    }

    public static Task ConnectionId(HttpContext context)
        => context.Response.WriteAsync(context.Connection.Id);

    public static Task Connection(HttpContext context)
    {
        var connection = context.Connection;
        return context.Response.WriteAsync(
            $"{connection.RemoteIpAddress}:{connection.RemotePort} "
            + $"{connection.LocalIpAddress}:{connection.LocalPort}");
    }

    public static Task SchemeAndHost(HttpContext context)
        => context.Response.WriteAsync($"{context.Request.Scheme}://{context.Request.Host}");

    public static Task Outcome(HttpContext context)
    {
        if (Outcomes.Find(context.Request.Query["id"].ToString()) is { } outcome)
        {
            return context.Response.WriteAsync(outcome);
        }

        context.Response.StatusCode = StatusCodes.Status404NotFound;
        return Task.CompletedTask;
    }

    public static Task Shutdown(HttpContext context)
    {
        context.RequestServices.GetRequiredService<IHostApplicationLifetime>().StopApplication();
        return context.Response.WriteAsync("Shutting down");
    }

    public static async Task ShutdownStopAsync(HttpContext context)
    {
        await context.RequestServices.GetRequiredService<IHost>().StopAsync(CancellationToken.None);
        await context.Response.WriteAsync("Stopped");
    }

    /// <summary>Stops the server behind the host's back, and waits for that or, with "given-up", does not.</summary>
    public static async Task ShutdownServer(HttpContext context)
    {
        var token = new CancellationToken(canceled: context.Request.Query.ContainsKey("given-up"));
        await context.RequestServices.GetRequiredService<IServer>().StopAsync(token);
        await context.Response.WriteAsync("Stopped");
    }

    public static async Task Slow(HttpContext context)
    {
        Outcomes.Tell(context, "waiting");
        await Task.Delay(int.Parse(context.Request.Query["ms"].ToString(), CultureInfo.InvariantCulture));
        await context.Response.WriteAsync("waited");
    }

    public static Task Block(HttpContext context)
    {
        Outcomes.Tell(context, "blocking");
        Thread.Sleep(int.Parse(context.Request.Query["ms"].ToString(), CultureInfo.InvariantCulture));
        Outcomes.Tell(context, "blocked");
        return context.Response.WriteAsync("blocked");
    }

    public static async Task WaitForAppToStartShuttingDown(HttpContext context)
    {
        var lifetime = context.RequestServices.GetRequiredService<IHostApplicationLifetime>();
        Outcomes.Tell(context, "waiting");
        await lifetime.ApplicationStopping.WhenCanceled();
        await context.Response.WriteAsync("stopping");
    }
}
