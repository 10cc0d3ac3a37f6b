using System;
using System.Runtime.CompilerServices;

using Ancm.Backend;
using Ancm.Backend.Links;

/// <summary>
/// What the runtime calls before the app's Main because <c>DOTNET_STARTUP_HOOKS</c> names this
/// assembly. It refers to no ASP.NET Core type, because the app may be one that has none.
/// </summary>
internal static class StartupHook
{
    /// <summary>Prepares the first web host of this process to be behind ours.</summary>
    public static void Initialize()
    {
        Variables.TakeBase();
        var (socket, link, keepsLimit, addresses) = Variables.Take();
        // Without a web host the backend is as silent as it would be without us, and the host,
        // which looks for a port as well, says so.
        if ((socket is not null || keepsLimit) && HasWebFramework())
        {
            Prepare(socket, link, keepsLimit, addresses);
        }
    }

    /// <summary>Apart from its caller, which is compiled where there is no ASP.NET Core.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Prepare(string? socket, string? link, bool keepsLimit, string[] addresses)
    {
        BodyLimit.IsWanted = keepsLimit;
        Placement.PublicAddresses = addresses;
        if (socket is not null && link is not null)
        {
            LinkTransport.Paths = (socket, link);
        }

        HostEvents.Subscribe(socket is null ? null : "http://unix:" + socket);
    }

    private static bool HasWebFramework()
        => AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") is string platform
            && platform.Contains("/Microsoft.AspNetCore.Hosting.dll", StringComparison.Ordinal);
}
