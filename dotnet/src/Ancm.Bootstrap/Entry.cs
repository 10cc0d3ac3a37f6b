using System;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

namespace Ancm.Bootstrap;

/// <summary>
/// First managed code in the process: prepares what must be in place before the app's Main and
/// returns. It refers to no ASP.NET Core type, because the app may be one that has none.
/// </summary>
public static class Entry
{
    private const string ServerName = "Ancm.Server";

    /// <summary>Called once by the handler library, before the app runs. 0 means success.</summary>
    [UnmanagedCallersOnly(CallConvs = new[] { typeof(CallConvCdecl) })]
    public static int Start()
    {
        try
        {
            Prepare();
            return 0;
        }
        catch (Exception error)
        {
            Bridge.Report(Bridge.Log, 0, $"the bootstrap failed: {error}");
            return error.HResult == 0 ? -1 : error.HResult;
        }
    }

    private static void Prepare()
    {
        if (!Bridge.IsPresent)
        {
            throw new InvalidOperationException("The runtime property ANCM_HOST is not set.");
        }

        UnhandledErrors.Subscribe();
        if (!HasWebFramework())
        {
            return;
        }

        // The default context, not ours: the app's hosting layer finds the assembly by its simple
        // name there, and both sides must agree on what IServer is.
        var folder = Path.GetDirectoryName(typeof(Entry).Assembly.Location)!;
        var server = AssemblyLoadContext.Default.LoadFromAssemblyPath(Path.Combine(folder, ServerName + ".dll"));
        HostEvents.Subscribe(server);
        HostingStartupVariable.Add(ServerName);
        AppContext.SetData("ANCM_ENDED", (Action)(static () => HostingStartupVariable.Add(ServerName)));
        // A legacy host tells nobody that it is built; its server calls this when it starts.
        AppContext.SetData("ANCM_STARTED", (Action)HostingStartupVariable.Remove);
    }

    private static bool HasWebFramework()
        => AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES") is string platform
            && platform.Contains("/Microsoft.AspNetCore.Hosting.dll", StringComparison.Ordinal);
}
