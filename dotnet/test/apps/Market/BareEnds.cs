using System.Text;

using Microsoft.AspNetCore.Http.Features;

using static Market.Bare;

namespace Market;

/// <summary>Ends before their time, and what is tried behind them.</summary>
internal static class BareEnds
{
    private static readonly byte[] s_text = "hello, world"u8.ToArray();

    /// <summary>The body is completed before the response has started.</summary>
    internal static async Task Early(HttpContext context, string how, Action<string> tell)
    {
        var (response, writer) = (context.Response, context.Response.BodyWriter);
        var parts = how.Split('-');
        var error = new FormatException("on purpose");
        var given = parts.Contains("error") ? error : null;
        if (parts.Contains("starting"))
        {
            response.OnStarting(() =>
            {
                response.Headers["X-Starting"] = "called";
                return Task.CompletedTask;
            });
        }

        if (parts.Contains("failing"))
        {
            response.OnStarting(() => throw error);
        }

        if (parts.Contains("advanced"))
        {
            s_text.CopyTo(writer.GetMemory(12));
            writer.Advance(12);
        }

        if (parts.Contains("status"))
        {
            response.StatusCode = 418;
            response.Headers["X-Own"] = "own";
        }

        var first = await Refused(() => parts[0] switch
        {
            "sync" => Task.Run(() => writer.Complete(given)),
            "async" => writer.CompleteAsync(given).AsTask(),
            _ => response.CompleteAsync(),
        });
        string[] after =
        [
            first,
            $"{response.HasStarted} {response.StatusCode}",
            await Refused(() => writer.WriteAsync(s_text).AsTask()),
            await Refused(() => response.Body.WriteAsync(s_text).AsTask()),
            await Refused(() => writer.FlushAsync().AsTask()),
            await Refused(() => response.StartAsync()),
            await Refused(() => response.CompleteAsync()),
            Refused(() => response.StatusCode = 500),
        ];
        tell(Kinds(after));
        if (parts.Contains("throws"))
        {
            throw error;
        }
    }

    /// <summary>What the callbacks at the end may still do.</summary>
    internal static async Task Behind(HttpContext context, string how, Action<string> tell)
    {
        var (request, response, writer) = (context.Request, context.Response, context.Response.BodyWriter);
        var (input, output, reader) = (request.Body, response.Body, request.BodyReader);
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        response.OnCompleted(async () =>
        {
            string[] found =
            [
                await Refused(() => output.WriteAsync(s_text).AsTask()),
                await Refused(() => output.FlushAsync()),
                await Refused(() => writer.WriteAsync(s_text).AsTask()),
                await Refused(() => writer.FlushAsync().AsTask()),
                Refused(() => writer.GetMemory()),
                Refused(() => writer.Advance(0)),
                Refused(() => writer.Complete()),
                Refused(() => writer.CancelPendingFlush()),
                await Refused(() => input.ReadAsync(new byte[1]).AsTask()),
                await Refused(() => input.CopyToAsync(Stream.Null)),
                await Refused(() => reader.ReadAsync().AsTask()),
                Refused(() => reader.TryRead(out _)),
                Refused(() => reader.CancelPendingRead()),
                Refused(() => reader.Complete()),
                await Refused(() => response.StartAsync()),
                await Refused(() => response.CompleteAsync()),
                await Refused(() => response.SendFileAsync(typeof(Bare).Assembly.Location)),
                Refused(() => response.StatusCode = 500),
                Refused(() => response.Headers["X-Late"] = "late"),
                Refused(() => response.OnStarting(() => Task.CompletedTask)),
                $"{response.HasStarted} {response.StatusCode} {response.ContentLength} {response.Headers.IsReadOnly}",
                $"{request.Method} {request.Path} {request.Headers.Host.Count} {context.RequestAborted.IsCancellationRequested}",
                Refused(() => limit.MaxRequestBodySize = 5),
            ];
            tell(Kinds(found));
        });
        if (how == "read")
        {
            await input.CopyToAsync(Stream.Null);
        }

        await response.WriteAsync("hello, world");
    }

    /// <summary>A body that nobody reads is larger than the limit that the handler has set.</summary>
    internal static async Task Limit(HttpContext context, string how, Action<string> tell)
    {
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var text = new StringBuilder();
        foreach (var value in new long?[] { -1, long.MinValue, null, 0, 5 })
        {
            text.Append(Refused(() => limit.MaxRequestBodySize = value)).Append(' ').Append(limit.MaxRequestBodySize).Append('|');
        }

        tell(text.Append(limit.IsReadOnly).ToString());
        if (how == "swallowed")
        {
            await Refused(() => context.Request.Body.CopyToAsync(Stream.Null));
        }
        else if (how == "pipe")
        {
            await Refused(() => context.Request.BodyReader.ReadAsync().AsTask());
        }

        await context.Response.WriteAsync("hello, world");
    }

    /// <summary>What of an upgrade's fields the application sees.</summary>
    internal static Task Fields(HttpContext context, string how, Action<string> tell)
    {
        var text = new StringBuilder();
        foreach (var name in new[] { "Connection", "Upgrade", "HTTP2-Settings", "Keep-Alive", "TE" })
        {
            text.Append($"{name}={context.Request.Headers[name]};");
        }

        text.Append(context.Features.Get<IHttpUpgradeFeature>()?.IsUpgradableRequest);
        return context.Response.WriteAsync(text.ToString());
    }

    /// <summary>Streams that are used as only tests use them.</summary>
    internal static async Task Streams(HttpContext context, string how, Action<string> tell)
    {
        var (input, output) = (context.Request.Body, context.Response.Body);
        var control = context.Features.GetRequiredFeature<IHttpBodyControlFeature>();
        string[] found =
        [
            Refused(() => input.Position = 0),
            Refused(() => input.SetLength(0)),
            Refused(() => input.WriteByte(0)),
            Refused(() => input.BeginWrite(new byte[1], 0, 1, null, null)),
            Refused(() => input.CopyTo(Stream.Null)),
            Refused(() => input.ReadByte()),
            await Refused(() => input.CopyToAsync(null!)),
            await Refused(() => input.CopyToAsync(Stream.Null, 0)),
            await Refused(() => input.ReadAsync(new byte[1], 1, 1)),
            Refused(() => output.Position = 0),
            Refused(() => output.SetLength(0)),
            Refused(() => output.ReadByte()),
            Refused(() => output.BeginRead(new byte[1], 0, 1, null, null)),
            await Refused(() => output.CopyToAsync(Stream.Null)),
            Refused(() => output.WriteByte(1)),
            Refused(() => output.Write(ReadOnlySpan<byte>.Empty)),
            Refused(output.Flush),
            await Refused(() => Task.Factory.FromAsync(output.BeginWrite("begun "u8.ToArray(), 0, 6, null, null), output.EndWrite)),
            $"{await Task<int>.Factory.FromAsync(input.BeginRead(new byte[4], 0, 4, null, null), input.EndRead)}",
        ];
        control.AllowSynchronousIO = true;
        var read = input.ReadByte();
        output.WriteByte((byte)'!');
        output.Write("sync "u8);
        output.Flush();
        using var all = new MemoryStream();
        input.CopyTo(all);
        input.Dispose();
        output.Dispose();
        var rest = await Refused(() => input.ReadAsync(new byte[1]).AsTask());
        await context.Response.WriteAsync("after");
        tell($"{Kinds(found)}|{read} {all.Length} {rest}");
    }

    /// <summary>What was thrown; the words are each server's own.</summary>
    private static string Kinds(string[] found) => string.Join('|', found.Select(one => one.Split(':')[0]));
}
