// What strains the threads of a process: blocked ones, a busy pool, collections, children.

using System.Diagnostics;
using System.Globalization;

namespace Site;

internal static class Strain
{
    public static Task Sleep(HttpContext context)
    {
        Thread.Sleep(50);
        return context.Response.WriteAsync("slept");
    }

    public static async Task SleepAndAwait(HttpContext context)
    {
        Thread.Sleep(5);
        await Task.Yield();
        Thread.Sleep(5);
        await context.Response.WriteAsync("slept twice");
    }

    public static Task SleepAndThrow(HttpContext context)
    {
        Thread.Sleep(5);
        throw new InvalidOperationException("thrown after a sleep");
    }

    public static Task SleepAndAbort(HttpContext context)
    {
        Thread.Sleep(5);
        context.Abort();
        return Task.CompletedTask;
    }

    public static Task Collect(HttpContext context)
    {
        GC.Collect(2, GCCollectionMode.Forced, blocking: true);
        return context.Response.WriteAsync("collected");
    }

    // Every thread of the pool has something to wait for.
    public static Task StarvePool(HttpContext context)
    {
        for (var number = 0; number < 200; number++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(_ => Thread.Sleep(20), null);
        }

        return context.Response.WriteAsync("starved");
    }

    public static async Task Child(HttpContext context)
    {
        using var child = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "cat; echo to stderr >&2; exit 7"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        child.StandardInput.Write("to the child");
        child.StandardInput.Close();
        var output = child.StandardOutput.ReadToEnd() + " " + child.StandardError.ReadToEnd().Trim();
        child.WaitForExit();
        await context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{output} {child.ExitCode}"));
    }
}
