using System;

using Ancm.Backend;

/// <summary>
/// What the runtime calls before the app's Main because <c>DOTNET_STARTUP_HOOKS</c> names this
/// assembly. It refers to no ASP.NET Core type, because the app may be one that has none.
/// </summary>
internal static class StartupHook
{
    /// <summary>Prepares the first web host of this process to listen on the host's socket.</summary>
    public static void Initialize()
    {
        var address = Variables.Take();
        // Without a web host the backend is as silent as it would be without us, and the host,
        // which looks for a port as well, says so.
        if (address is not null && HasWebFramework())
        {
            HostEvents.Subscribe(address);
        }
    }

    private static bool HasWebFramework()
        => AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") is string platform
            && platform.Contains("/Microsoft.AspNetCore.Hosting.dll", StringComparison.Ordinal);
}
