using System;
using System.Threading;

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// Puts our server behind every registration of the app. Of several web hosts the one that first asks
/// for its server gets it: one that is built for its services and never started is none. A host that
/// comes when that one is over is the end of the process: the supervisor has started another.
/// </summary>
internal static class HostInjection
{
    private const string WebHostService = "Microsoft.AspNetCore.Hosting.GenericWebHostService";
    private const string ConsoleLifetime = "Microsoft.Extensions.Hosting.Internal.ConsoleLifetime";

    private const int Free = 0;
    private const int Taken = 1;
    private const int Over = 2;

    private static int s_place;

    /// <summary>The <c>HostBuilding</c> event; called by the bootstrap through reflection.</summary>
    internal static void HostBuilding(object builder)
    {
        if (NativeApi.IsPresent && builder is IHostBuilder host)
        {
            host.ConfigureServices(static (_, services) => Inject(services));
        }
    }

    /// <summary>Registers the server, and what the host would have had for when another has it.</summary>
    internal static void Add(IServiceCollection services)
    {
        var own = Find(services, typeof(IServer));
        services.AddSingleton<IServer>(provider =>
        {
            LeaveIfOver();
            if (Interlocked.CompareExchange(ref s_place, Taken, Free) == Free)
            {
                return ActivatorUtilities.CreateInstance<HostServer>(provider);
            }

            NativeApi.Life(LifeEvent.Log, 0, "a second web host in this process keeps its own server");
            return Create(own, provider);
        });
    }

    /// <summary>The server has gone without having been started; another host may have it.</summary>
    internal static void GiveBack() => Volatile.Write(ref s_place, Free);

    /// <summary>The server has stopped. No request comes to this process any more.</summary>
    internal static void IsOver()
    {
        Volatile.Write(ref s_place, Over);
        // A legacy host that follows has to meet us, too.
        (AppContext.GetData("ANCM_ENDED") as Action)?.Invoke();
    }

    /// <summary>
    /// The app runs one host after the other. The next one would serve beside the site, on a port that
    /// nobody asked for, and keep the process until it is killed.
    /// </summary>
    internal static void LeaveIfOver()
    {
        const int Ended = 1033;
        if (Volatile.Read(ref s_place) == Over)
        {
            NativeApi.Life(LifeEvent.Log, Ended, "the application runs another host: that is for the next generation, and this process ends");
            Environment.Exit(Environment.ExitCode);
        }
    }

    private static void Inject(IServiceCollection services)
    {
        // Worker hosts have neither. An empty builder has only the service.
        var isWeb = IsWeb(services);
        if (isWeb)
        {
            Add(services);
        }

        if (isWeb || Find(services, typeof(IHostLifetime))?.ImplementationType?.FullName == ConsoleLifetime)
        {
            services.AddSingleton<IHostLifetime, HostLifetime>();
        }
    }

    private static ServiceDescriptor? Find(IServiceCollection services, Type type)
    {
        for (var index = services.Count - 1; index >= 0; index--)
        {
            if (services[index].ServiceType == type && !services[index].IsKeyedService)
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
