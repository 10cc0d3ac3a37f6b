using System;
using System.Threading;

namespace Ancm.Bootstrap;

/// <summary>
/// Turns an exception that nobody caught while the app starts into a report. The runtime would end
/// the process right after the event; the worker must live on to serve the page that explains.
/// </summary>
internal static class UnhandledErrors
{
    private const int StartFailed = 30;

    internal static void Subscribe()
    {
        AppDomain.CurrentDomain.UnhandledException += static (_, args) => OnUnhandled(args.ExceptionObject);
        AppDomain.CurrentDomain.ProcessExit += static (_, _) => Bridge.Report(Bridge.Step, 0, "process exit");
    }

    private static void OnUnhandled(object thrown)
    {
        var text = thrown.ToString() ?? thrown.GetType().FullName!;
        if (Bridge.IsReady)
        {
            // A serving app whose invariants broke must not go on: report it and let it abort.
            Bridge.Report(Bridge.Log, 0, "unhandled exception: " + text);
            return;
        }

        Bridge.Report(Bridge.Failed, StartFailed, text);
        // Leaving the handler aborts the process, so this thread stays here for good.
        Thread.Sleep(Timeout.Infinite);
    }
}
