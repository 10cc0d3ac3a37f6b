// Clients that leave, and an application that aborts.

using System.Globalization;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Aborts
{
    private static int s_waiting;
    private static int s_aborted;

    public static Task WaitingRequestCount(HttpContext context)
        => context.Response.WriteAsync(
            $"{Volatile.Read(ref s_waiting)} {Volatile.Read(ref s_aborted)}");

    public static async Task WaitForAbort(HttpContext context)
    {
        Interlocked.Increment(ref s_waiting);
        Outcomes.Tell(context, "waiting");
        try
        {
            await context.RequestAborted.WhenCanceled();
            Interlocked.Increment(ref s_aborted);
            Outcomes.Tell(context, "aborted");
        }
        finally
        {
            Interlocked.Decrement(ref s_waiting);
        }
    }

    /// <summary>What is registered for the end of request and connection throws.</summary>
    public static async Task ThrowingCallbacks(HttpContext context)
    {
        context.RequestAborted.Register(() => throw new InvalidOperationException("request callback"));
        context.Features.GetRequiredFeature<IConnectionLifetimeFeature>().ConnectionClosed
            .Register(() => throw new InvalidOperationException("connection callback"));
        var aborted = context.RequestAborted.WhenCanceled();
        Outcomes.Tell(context, "waiting");
        await aborted;
        Outcomes.Tell(context, "aborted");
    }

    /// <summary>Ends while others of its own still write and read.</summary>
    public static async Task EndAmongOthers(HttpContext context)
    {
        var (body, writer, request) = (context.Response.Body, context.Response.BodyWriter, context.Request.Body);
        var piece = new byte[200_000];
        _ = Task.Run(() => Outcomes.NameOf(async () =>
        {
            for (var round = 0; round < 100; round++)
            {
                await body.WriteAsync(piece);
            }
        }));
        _ = Task.Run(() => Outcomes.NameOf(async () =>
        {
            for (var round = 0; round < 100; round++)
            {
                await writer.WriteAsync(piece.AsMemory(0, 5000));
                await writer.FlushAsync();
            }
        }));
        _ = Task.Run(() => Outcomes.NameOf(async () =>
        {
            while (await request.ReadAsync(piece) > 0)
            {
            }
        }));
        await Task.Delay(Random.Shared.Next(3));
        Thread.SpinWait(Random.Shared.Next(20_000));
    }

    /// <summary>Tells what a write does once the client has gone.</summary>
    public static async Task WriteAfterDisconnect(HttpContext context)
    {
        Outcomes.Tell(context, "waiting");
        await context.RequestAborted.WhenCanceled();
        Outcomes.Tell(context, await Outcomes.NameOf(async () =>
        {
            for (var round = 0; round < 100; round++)
            {
                await context.Response.Body.WriteAsync(new byte[1000]);
            }
        }));
    }

    public static async Task WriteWithAbortedToken(HttpContext context)
    {
        Outcomes.Tell(context, "waiting");
        Outcomes.Tell(context, await Outcomes.NameOf(async () =>
        {
            while (true)
            {
                await context.Response.Body.WriteAsync(new byte[1000], context.RequestAborted);
            }
        }));
    }

    public static async Task ReadUntilDisconnect(HttpContext context)
    {
        _ = await context.Request.Body.ReadAsync(new byte[10]);
        Outcomes.Tell(context, "waiting");
        Outcomes.Tell(context, await Outcomes.NameOf(async () =>
        {
            while (await context.Request.Body.ReadAsync(new byte[1000]) > 0)
            {
            }
        }));
    }

    /// <summary>A read that waits, cancelled by a token of the application.</summary>
    public static async Task ReadWithOwnToken(HttpContext context)
    {
        using var source = new CancellationTokenSource();
        var reading = Outcomes.NameOf(async () =>
        {
            while (await context.Request.Body.ReadAsync(new byte[1000], source.Token) > 0)
            {
            }
        });
        Outcomes.Tell(context, $"pending {!reading.IsCompleted}");
        await source.CancelAsync();
        Outcomes.Tell(context, await reading);
    }

    /// <summary>A write that waits for a client that does not read, cancelled by a token.</summary>
    public static async Task WriteWithOwnToken(HttpContext context)
    {
        using var source = new CancellationTokenSource();
        var writing = Outcomes.NameOf(async () =>
        {
            var piece = new byte[1024 * 1024];
            while (true)
            {
                await context.Response.Body.WriteAsync(piece, source.Token);
            }
        });
        Outcomes.Tell(context, "writing");
        await Task.WhenAny(writing, Task.Delay(500));
        await source.CancelAsync();
        Outcomes.Tell(context, await writing);
    }

    public static async Task AbortAtOnce(HttpContext context)
    {
        context.Abort();
        await context.RequestAborted.WhenCanceled();
        Outcomes.Tell(context, "aborted");
    }

    public static async Task AbortAfterData(HttpContext context)
    {
        await context.Response.WriteAsync("some data");
        await context.Response.Body.FlushAsync();
        context.Abort();
    }

    public static async Task ReadAfterAbort(HttpContext context)
    {
        context.Abort();
        Outcomes.Tell(context, await Outcomes.NameOf(async () =>
            _ = await context.Request.Body.ReadAsync(new byte[10])));
    }

    public static async Task WriteAfterAbort(HttpContext context)
    {
        context.Abort();
        Outcomes.Tell(context, await Outcomes.NameOf(() => context.Response.WriteAsync("nobody reads this")));
    }

    public static async Task TokenAfterAbort(HttpContext context)
    {
        var token = context.RequestAborted;
        context.Abort();
        await token.WhenCanceled();
        var isSignalled = token.WaitHandle.WaitOne(0);
        Outcomes.Tell(context, $"{token.IsCancellationRequested} {isSignalled}");
    }

    public static async Task ReadIsAsynchronous(HttpContext context)
    {
        var reading = context.Request.Body.ReadAsync(new byte[10]);
        Outcomes.Tell(context, $"completed {reading.IsCompleted}");
        var read = await reading;
        await context.Response.WriteAsync(read.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Tells what reading throws and lets it through.</summary>
    public static async Task InvalidBody(HttpContext context)
    {
        Outcomes.Tell(context, "reading");
        try
        {
            while (await context.Request.Body.ReadAsync(new byte[1000]) > 0)
            {
            }
        }
        catch (Exception exception)
        {
            Outcomes.Tell(context, exception.GetType().Name);
            throw;
        }
    }

    public static async Task LifetimeFeature(HttpContext context)
    {
        var lifetime = context.Features.GetRequiredFeature<IHttpRequestLifetimeFeature>();
        await context.Response.WriteAsync(lifetime.RequestAborted.CanBeCanceled.ToString());
    }
}
