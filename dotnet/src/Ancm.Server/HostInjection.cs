using System;
using System.Threading;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// Puts our server behind every registration of the app. Of several web hosts the one that first asks
/// for its server gets it: one that is built for its services and never started is none.
/// </summary>
internal static class HostInjection
{
    private const string WebHostService = "Microsoft.AspNetCore.Hosting.GenericWebHostService";

    private static int s_taken;

    /// <summary>The <c>HostBuilding</c> event; called by the bootstrap through reflection.</summary>
    internal static void HostBuilding(object builder)
    {
        if (NativeApi.IsPresent && builder is IHostBuilder host)
        {
            host.ConfigureServices(static (_, services) => AddIfWeb(services));
        }
    }

    /// <summary>Registers the server, and what the host would have had for when another has it.</summary>
    internal static void Add(IServiceCollection services)
    {
        var own = FindServer(services);
        services.AddSingleton<IServer>(provider =>
        {
            if (Interlocked.Exchange(ref s_taken, 1) == 0)
            {
                return ActivatorUtilities.CreateInstance<HostServer>(provider);
            }

            NativeApi.Life(LifeEvent.Log, 0, "a second web host in this process keeps its own server");
            return Create(own, provider);
        });
    }

    /// <summary>The server has gone without having been started; another host may have it.</summary>
    internal static void GiveBack() => Volatile.Write(ref s_taken, 0);

    private static void AddIfWeb(IServiceCollection services)
    {
        // Worker hosts have neither and stay as they are. An empty builder has only the service.
        if (IsWeb(services))
        {
            Add(services);
            services.AddSingleton<IHostLifetime, HostLifetime>();
        }
    }

    private static ServiceDescriptor? FindServer(IServiceCollection services)
    {
        for (var index = services.Count - 1; index >= 0; index--)
        {
            if (services[index].ServiceType == typeof(IServer) && !services[index].IsKeyedService)
            {
                return services[index];
            }
        }

        return null;
    }

    private static IServer Create(ServiceDescriptor? own, IServiceProvider provider)
        => (IServer)(own?.ImplementationInstance
            ?? own?.ImplementationFactory?.Invoke(provider)
            ?? ActivatorUtilities.CreateInstance(
                provider, own?.ImplementationType ?? throw new InvalidOperationException("The host has no server of its own.")));

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
