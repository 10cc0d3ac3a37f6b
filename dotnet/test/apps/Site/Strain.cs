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

    // Asynchronous work that is waited for with the thread of the request.
    public static Task BlockOnBody(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var text = reader.ReadToEndAsync().GetAwaiter().GetResult();
        Task.Delay(1).Wait();
        return context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{text.Length}"));
    }

    // Every wait, for bytes and for room, ends in work that blocks.
    public static async Task EchoAndSleep(HttpContext context)
    {
        var buffer = new byte[64 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            Thread.Sleep(2);
            await context.Response.Body.WriteAsync(buffer.AsMemory(0, read));
            Thread.Sleep(2);
        }
    }

    public static async Task ThrowLate(HttpContext context)
    {
        await context.Response.WriteAsync("half of");
        await context.Response.Body.FlushAsync();
        Thread.Sleep(1);
        throw new InvalidOperationException("thrown after the first half");
    }

    // Garbage of all ages and sizes, some of it pinned while it lives.
    public static async Task Litter(HttpContext context)
    {
        var kept = new List<byte[]>();
        for (var size = 100; size < 300_000; size += size / 4)
        {
            kept.Add(GC.AllocateUninitializedArray<byte>(size, pinned: size % 3 == 0));
            _ = new object[size / 100];
        }

        await Task.Yield();
        await context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{kept.Count} kept"));
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

    // A process whose parent has ended.
    public static async Task Orphan(HttpContext context)
    {
        using var parent = Process.Start("/bin/sh", ["-c", "sleep 3600 > /dev/null 2>&1 &"]);
        await parent.WaitForExitAsync();
        await context.Response.WriteAsync("left alone");
    }
}
