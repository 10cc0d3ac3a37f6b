using System;
using System.Linq;
using System.Net;
using System.Threading;

using Ancm.Backend.Links;

using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

[assembly: HostingStartup(typeof(Ancm.Backend.LegacyStartup))]

namespace Ancm.Backend;

/// <summary>
/// Has one web host of the process listen on the host's socket and nowhere else, whatever the
/// app has decided about its addresses: the first, and when that has stopped the next.
/// </summary>
internal static class Placement
{
    private static int s_placed;

    /// <summary>Where to listen.</summary>
    internal static string? Address { get; set; }

    /// <summary>How clients reach the site.</summary>
    internal static string[] PublicAddresses { get; set; } = [];

    internal static void HostBuilding(object builder)
    {
        // A host without a web server never asks for the filter.
        if (builder is IHostBuilder host)
        {
            host.ConfigureServices(static (_, services) => Add(services));
        }
    }

    internal static void Add(IServiceCollection services)
    {
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IStartupFilter, AddressFilter>());
        if (LinkTransport.Paths is not null)
        {
            // Of several the server asks the last one first; this one stands in for the usual one, which
            // is not added where there is another.
            services.TryAddEnumerable(ServiceDescriptor.Singleton<IConnectionListenerFactory, LinkTransport>());
        }

        if (!BodyLimit.IsWanted)
        {
            return;
        }

        // Most hosts bring us here twice, the first time before the integration has its filter.
        foreach (var earlier in services.Where(static service => service.ImplementationType == typeof(BodyLimit)).ToArray())
        {
            services.Remove(earlier);
        }

        services.AddSingleton<IStartupFilter, BodyLimit>();
    }

    /// <summary>True for one at a time: a second web host beside it keeps its own addresses.</summary>
    internal static bool Take() => Address is not null && Interlocked.Exchange(ref s_placed, 1) == 0;

    /// <summary>The host that was placed has stopped: one that follows in this process takes its place.</summary>
    internal static void GiveBack()
    {
        Variables.HostIsOver();
        Volatile.Write(ref s_placed, 0);
    }
}

/// <summary>
/// Filters are asked when all addresses are known and before the server starts. Addresses that are
/// preferred outrank the endpoints of Kestrel's own options.
/// </summary>
internal sealed class AddressFilter : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next)
    {
        return app =>
        {
            Variables.HostIsBuilt();
            if (app.ServerFeatures.Get<IServerAddressesFeature>() is { Addresses.IsReadOnly: false } feature && Placement.Take())
            {
                app.ApplicationServices.GetService<IHostApplicationLifetime>()?.ApplicationStopped.Register(Placement.GiveBack);
                feature.Addresses.Clear();
                feature.Addresses.Add(Placement.Address!);
                feature.PreferHostingUrls = true;
                HeadLimits.Lift(app.ApplicationServices.GetService<IOptions<KestrelServerOptions>>()?.Value.Limits);
                Publish(app.ServerFeatures);
                // A socket has no addresses; applications expect those of a port of the loopback.
                app.Use(LoopbackAddresses.Fill);
            }

            next(app);
        };
    }

    /// <summary>
    /// An app that asks where it is reached, to request something of itself or to register somewhere,
    /// can do nothing with the socket. The server does not look here: it has its own reference.
    /// </summary>
    private static void Publish(IFeatureCollection features)
    {
        if (Placement.PublicAddresses.Length > 0)
        {
            var shown = new ServerAddressesFeature();
            foreach (var address in Placement.PublicAddresses)
            {
                shown.Addresses.Add(address);
            }

            features.Set<IServerAddressesFeature>(shown);
        }
    }
}

/// <summary>
/// The head of a request has passed the host's limits, and has what the host says of the client on top:
/// where the app has said nothing of its own, the server has no others.
/// </summary>
internal static class HeadLimits
{
    internal static void Lift(KestrelServerLimits? limits)
    {
        if (limits is null)
        {
            return;
        }

        var usual = new KestrelServerLimits();
        var most = (int)Math.Min(limits.MaxRequestBufferSize ?? int.MaxValue, int.MaxValue);
        if (limits.MaxRequestHeaderCount == usual.MaxRequestHeaderCount)
        {
            limits.MaxRequestHeaderCount = int.MaxValue;
        }

        if (limits.MaxRequestHeadersTotalSize == usual.MaxRequestHeadersTotalSize)
        {
            limits.MaxRequestHeadersTotalSize = most;
        }

        if (limits.MaxRequestLineSize == usual.MaxRequestLineSize)
        {
            limits.MaxRequestLineSize = most;
        }
    }
}

/// <summary>Fills in the addresses that a connection over a port would have.</summary>
internal static class LoopbackAddresses
{
    private static readonly int s_port = int.TryParse(Environment.GetEnvironmentVariable("ASPNETCORE_PORT"), out var port) ? port : 0;

    internal static RequestDelegate Fill(RequestDelegate next)
    {
        return context =>
        {
            var connection = context.Connection;
            connection.RemoteIpAddress ??= IPAddress.Loopback;
            if (connection.LocalIpAddress is null)
            {
                connection.LocalIpAddress = IPAddress.Loopback;
                connection.LocalPort = s_port;
            }

            return next(context);
        };
    }
}

/// <summary>Reaches <see cref="WebHostBuilder"/>, which raises no event.</summary>
public sealed class LegacyStartup : IHostingStartup
{
    /// <inheritdoc/>
    public void Configure(IWebHostBuilder builder) => builder.ConfigureServices(Placement.Add);
}
