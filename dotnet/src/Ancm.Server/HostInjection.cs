using System.Threading;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>Puts our server behind every registration of the app, in the first web host only.</summary>
internal static class HostInjection
{
    private const string WebHostService = "Microsoft.AspNetCore.Hosting.GenericWebHostService";

    private static int s_injected;

    /// <summary>The <c>HostBuilding</c> event; called by the bootstrap through reflection.</summary>
    internal static void HostBuilding(object builder)
    {
        if (NativeApi.IsPresent && builder is IHostBuilder host)
        {
            host.ConfigureServices(static (_, services) => AddIfWeb(services));
        }
    }

    /// <summary>Registers the server; false when another host of this process has it already.</summary>
    internal static bool Add(IServiceCollection services)
    {
        if (Interlocked.Exchange(ref s_injected, 1) != 0)
        {
            NativeApi.Life(LifeEvent.Log, 0, "a second web host in this process keeps its own server");
            return false;
        }

        services.AddSingleton<IServer, HostServer>();
        return true;
    }

    private static void AddIfWeb(IServiceCollection services)
    {
        // Worker hosts have neither and stay as they are. An empty builder has only the service.
        if (IsWeb(services) && Add(services))
        {
            services.AddSingleton<IHostLifetime, HostLifetime>();
        }
    }

    private static bool IsWeb(IServiceCollection services)
    {
        foreach (var service in services)
        {
            if (service.ServiceType == typeof(IServer))
            {
                return true;
            }

            if (service.ServiceType == typeof(IHostedService)
                && !service.IsKeyedService
                && service.ImplementationType?.FullName == WebHostService)
            {
                return true;
            }
        }

        return false;
    }
}
