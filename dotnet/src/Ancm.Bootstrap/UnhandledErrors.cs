using System;
using System.Reflection;
using System.Threading;

namespace Ancm.Bootstrap;

/// <summary>
/// Turns an exception that nobody caught while the app starts into a report. The runtime would end
/// the process right after the event; the worker must live on to serve the page that explains. What the app
/// has registered for such an end, to log it or to tell somebody, is called before.
/// </summary>
internal static class UnhandledErrors
{
    private const int StartFailed = 30;
    private const int ManagedException = 1018;

    /// <summary>How long the app's own handlers may take, in milliseconds.</summary>
    private const int Patience = 5000;

    private static int s_mainThread;
    private static string? s_failure;

    /// <summary>Called on the thread that will run the app's Main.</summary>
    internal static void Subscribe()
    {
        s_mainThread = Environment.CurrentManagedThreadId;
        AppDomain.CurrentDomain.UnhandledException += OnUnhandled;
        AppDomain.CurrentDomain.ProcessExit += static (_, _) => OnExit();
    }

    private static void OnUnhandled(object sender, UnhandledExceptionEventArgs args)
    {
        var thrown = args.ExceptionObject;
        var text = Describe(thrown);
        if (Bridge.IsReady)
        {
            // A serving app whose invariants broke must not go on: report it and let it abort.
            Bridge.Report(Bridge.Log, ManagedException, text);
            return;
        }

        s_failure = text;
        using var limit = new Timer(static _ => Fail(), null, Patience, Timeout.Infinite);
        CallOthers(sender, args);
        Fail();
        // Leaving the handler aborts the process, so this thread stays here for good.
        Thread.Sleep(Timeout.Infinite);
    }

    private static void Fail()
    {
        if (s_failure is { } text)
        {
            Bridge.Report(Bridge.Failed, StartFailed, text);
        }
    }

    /// <summary>A handler of the app may be what ends the process.</summary>
    private static void OnExit()
    {
        Fail();
        Bridge.Report(Bridge.Step, 0, "process exit");
    }

    /// <summary>
    /// We are the first to hear, and do not return. The runtime calls what a field of this name holds, so
    /// that is there to stay.
    /// </summary>
    private static void CallOthers(object sender, UnhandledExceptionEventArgs args)
    {
        try
        {
            AppDomain.CurrentDomain.UnhandledException -= OnUnhandled;
            var field = typeof(AppContext).GetField("UnhandledException", BindingFlags.Static | BindingFlags.NonPublic);
            (field?.GetValue(null) as UnhandledExceptionEventHandler)?.Invoke(sender, args);
        }
        catch (Exception)
        {
            // A handler that throws: the runtime would give up on the rest, too.
        }
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
