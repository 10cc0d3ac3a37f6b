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
    private const int ManagedException = 1018;

    private static int s_mainThread;

    /// <summary>Called on the thread that will run the app's Main.</summary>
    internal static void Subscribe()
    {
        s_mainThread = Environment.CurrentManagedThreadId;
        AppDomain.CurrentDomain.UnhandledException += static (_, args) => OnUnhandled(args.ExceptionObject);
        AppDomain.CurrentDomain.ProcessExit += static (_, _) => Bridge.Report(Bridge.Step, 0, "process exit");
    }

    private static void OnUnhandled(object thrown)
    {
        var text = Describe(thrown);
        if (Bridge.IsReady)
        {
            // A serving app whose invariants broke must not go on: report it and let it abort.
            Bridge.Report(Bridge.Log, ManagedException, text);
            return;
        }

        Bridge.Report(Bridge.Failed, StartFailed, text);
        // Leaving the handler aborts the process, so this thread stays here for good.
        Thread.Sleep(Timeout.Infinite);
    }

    /// <summary>One line that says what happened, then the exception with its stack.</summary>
    private static string Describe(object thrown)
    {
        var where = Environment.CurrentManagedThreadId == s_mainThread ? "Main" : "a thread of the app";
        if (thrown is not Exception error)
        {
            return $"{where} threw an object of type {thrown.GetType()}";
        }

        var summary = $"{where} threw {Name(error)}";
        var root = error.GetBaseException();
        if (root != error)
        {
            summary += $", because of {Name(root)}";
        }

        string stack;
        try
        {
            stack = error.ToString();
        }
        catch (Exception)
        {
            // An exception of the app's own whose ToString throws.
            stack = error.StackTrace ?? "";
        }

        return summary + "\n" + stack;
    }

    /// <summary>Type and message in one line.</summary>
    private static string Name(Exception error)
    {
        string message;
        try
        {
            message = error.Message.ReplaceLineEndings(" ");
        }
        catch (Exception)
        {
            message = "";
        }

        return $"{error.GetType()}: {message}".TrimEnd(' ', ':', '.');
    }
}
