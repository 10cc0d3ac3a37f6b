// What an application says of its client's speed, and hears of its connection.

using System.Globalization;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Site;

internal static class Connections
{
    /// <summary>`?body=` and `?answer=` are bytes per second, or `none`; the grace is as short as may be.</summary>
    private static void SetRates(HttpContext context)
    {
        static MinDataRate? Parse(string text) => text == "none"
            ? null
            : new MinDataRate(double.Parse(text, CultureInfo.InvariantCulture), TimeSpan.FromSeconds(1.001));

        if (context.Request.Query["body"] is [{ } body])
        {
            context.Features.Get<IHttpMinRequestBodyDataRateFeature>()!.MinDataRate = Parse(body);
        }

        if (context.Request.Query["answer"] is [{ } answer])
        {
            context.Features.Get<IHttpMinResponseDataRateFeature>()!.MinDataRate = Parse(answer);
        }
    }

    private static string Told(MinDataRate? rate)
        => rate is null ? "none" : string.Create(CultureInfo.InvariantCulture, $"{rate.BytesPerSecond} in {rate.GracePeriod}");

    /// <summary>The rates before and after they are set.</summary>
    public static Task Rates(HttpContext context)
    {
        var body = context.Features.Get<IHttpMinRequestBodyDataRateFeature>()!;
        var answer = context.Features.Get<IHttpMinResponseDataRateFeature>()!;
        var before = $"{Told(body.MinDataRate)}, {Told(answer.MinDataRate)}";
        SetRates(context);
        return context.Response.WriteAsync($"{before}; {Told(body.MinDataRate)}, {Told(answer.MinDataRate)}");
    }

    /// <summary>Reads the whole body, then tells its length.</summary>
    public static async Task ReadAtRate(HttpContext context)
    {
        SetRates(context);
        Outcomes.Tell(context, "reading");
        var body = new MemoryStream();
        try
        {
            await context.Request.Body.CopyToAsync(body);
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException bad)
        {
            Outcomes.Tell(context, $"refused {bad.StatusCode}");
            if (context.Request.Query.ContainsKey("catch"))
            {
                await context.Response.WriteAsync("too slow for us");
                return;
            }

            throw;
        }

        await context.Response.WriteAsync(body.Length.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Looks for more, without waiting or with a wait that it gives up, and pauses for longer than a client has.</summary>
    public static async Task ReadNowAndThen(HttpContext context)
    {
        SetRates(context);
        var reader = context.Request.BodyReader;
        var start = await reader.ReadAsync();
        reader.AdvanceTo(start.Buffer.Start, start.Buffer.End);
        if (reader.TryRead(out _))
        {
            throw new InvalidOperationException("There was more.");
        }

        await Task.Delay(1500);
        using var soon = new CancellationTokenSource(10);
        try
        {
            await reader.ReadAsync(soon.Token);
        }
        catch (OperationCanceledException)
        {
        }

        await Task.Delay(1500);
        Outcomes.Tell(context, "looked");
        var all = await reader.ReadAtLeastAsync(10);
        await context.Response.WriteAsync(all.Buffer.Length.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>More than the kernel and the server hold for a client that takes nothing.</summary>
    public static async Task WriteAtRate(HttpContext context)
    {
        SetRates(context);
        var piece = new byte[64 << 10];
        context.Response.ContentLength = 256 * piece.Length;
        await context.Response.StartAsync();
        Outcomes.Tell(context, "writing");
        for (var count = 0; count < 256; count++)
        {
            await context.Response.Body.WriteAsync(piece, context.RequestAborted);
        }
    }

    /// <summary>Tells when the connection is over, which may be long after the request.</summary>
    public static Task Watch(HttpContext context)
    {
        Watch(context, context.Request.Query["id"].ToString());
        return context.Response.WriteAsync("watching");
    }

    /// <summary>Begins to watch when the response is already over.</summary>
    public static Task WatchLate(HttpContext context)
    {
        var id = context.Request.Query["id"].ToString();
        context.Response.OnCompleted(() =>
        {
            Watch(context, id);
            return Task.CompletedTask;
        });
        return context.Response.WriteAsync("watching");
    }

    /// <summary>Ends the connection, beginning with half an answer.</summary>
    public static async Task AbortConnection(HttpContext context)
    {
        Watch(context, context.Request.Query["id"].ToString());
        context.Response.ContentLength = 10;
        await context.Response.WriteAsync("half");
        await context.Response.Body.FlushAsync();
        context.Features.Get<IConnectionLifetimeFeature>()!.Abort();
    }

    /// <summary>Has sent all that it has announced, and stays until the client has left with it.</summary>
    public static async Task StayBehind(HttpContext context)
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        context.Features.Get<IConnectionLifetimeFeature>()!.ConnectionClosed.Register(closed.SetResult);
        var token = context.RequestAborted;
        context.Response.ContentLength = 5;
        await context.Response.WriteAsync("whole");
        await closed.Task;
        Outcomes.Tell(context, $"{token.IsCancellationRequested} {context.RequestAborted.IsCancellationRequested}");
    }

    private static void Watch(HttpContext context, string id)
    {
        var connection = context.Features.Get<IConnectionLifetimeFeature>()!;
        Outcomes.Tell(id, connection.ConnectionClosed.IsCancellationRequested ? "over before" : "open");
        connection.ConnectionClosed.Register(() => Outcomes.Tell(id, "closed"));
    }
}
