// Status, headers and bodies of responses.

using System.Globalization;
using System.IO.Compression;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Responses
{
    public static Task ResponseHeaders(HttpContext context)
    {
        context.Response.Headers["UnknownHeader"] = "test123=foo";
        context.Response.ContentType = "text/plain";
        context.Response.Headers["MultiHeader"] = new[] { "1", "2" };
        return context.Response.WriteAsync("Request Complete");
    }

    public static Task ResponseEmptyHeaders(HttpContext context)
    {
        context.Response.Headers["EmptyHeader"] = "";
        return context.Response.WriteAsync("EmptyHeaderShouldBeSkipped");
    }

    public static Task OverrideServer(HttpContext context)
    {
        context.Response.Headers.Server = "MyServer/7.8";
        return context.Response.WriteAsync("");
    }

    /// <summary>What HTTP/1.1 has not: the features are absent, and using them anyway says so.</summary>
    public static Task FeaturesOfHttp2(HttpContext context)
    {
        var text = "allowed";
        try
        {
            context.Response.AppendTrailer("X-Trailer", "value");
        }
        catch (InvalidOperationException)
        {
            text = "refused";
        }

        var reset = context.Features.Get<IHttpResetFeature>() is not null;
        var trailers = context.Features.Get<IHttpResponseTrailersFeature>() is not null;
        return context.Response.WriteAsync($"{context.Response.SupportsTrailers()} {trailers} {reset} {text}");
    }

    /// <summary>Writes when the response is over: while the handler still runs, and from outside.</summary>
    public static async Task WriteAfterCompletion(HttpContext context)
    {
        await context.Response.WriteAsync("whole");
        await context.Response.CompleteAsync();
        var stream = await Outcomes.NameOf(() => context.Response.Body.WriteAsync(new byte[] { 1 }).AsTask());
        var pipe = await Outcomes.NameOf(() => context.Response.BodyWriter.WriteAsync(new byte[] { 1 }).AsTask());
        var header = await Outcomes.NameOf(() =>
        {
            context.Response.Headers["late"] = "1";
            return Task.CompletedTask;
        });
        Outcomes.Tell(context, $"{stream} {pipe} {header}");
    }

    public static async Task WriteAfterTheHandler(HttpContext context)
    {
        var id = context.Request.Query["id"].ToString();
        var body = context.Response.Body;
        await context.Response.WriteAsync("whole");
        context.Response.OnCompleted(() => Task.CompletedTask);
        _ = Task.Run(async () =>
        {
            // Whenever the response has ended, writes fail; how depends on what else has ended.
            var failure = "none";
            while (failure == "none")
            {
                failure = await Outcomes.NameOf(() => body.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask());
                await Task.Yield();
            }

            Outcomes.Tell(id, "refused");
        });
    }

    public static Task ConnectionClose(HttpContext context)
    {
        context.Response.Headers.Connection = "close";
        return context.Response.WriteAsync("closing");
    }

    public static Task SetCustomErrorCode(HttpContext context)
    {
        var query = context.Request.Query;
        context.Response.StatusCode = int.Parse(query["code"].ToString(), CultureInfo.InvariantCulture);
        if (query.TryGetValue("reason", out var reason))
        {
            context.Features.GetRequiredFeature<IHttpResponseFeature>().ReasonPhrase = reason;
        }

        return query.TryGetValue("body", out var body)
            ? context.Response.WriteAsync(body.ToString())
            : Task.CompletedTask;
    }

    /// <summary>A head with a part that is larger than any client would take.</summary>
    public static Task HugeHead(HttpContext context)
    {
        var (response, huge) = (context.Response, new string('r', 70_000));
        switch (context.Request.Query["part"].ToString())
        {
            case "reason":
                context.Features.GetRequiredFeature<IHttpResponseFeature>().ReasonPhrase = huge;
                break;
            case "name":
                response.Headers[huge] = "value";
                break;
            default:
                response.Headers["X-Many"] = Enumerable.Repeat("value", 70_000).ToArray();
                break;
        }

        return response.WriteAsync("body");
    }

    public static Task Throw(HttpContext context) => throw new InvalidOperationException("thrown on request");

    public static async Task ThrowLater(HttpContext context)
    {
        await Task.Yield();
        throw new InvalidOperationException("thrown on request");
    }

    public static async Task ThrowAfterStart(HttpContext context)
    {
        await context.Response.WriteAsync("started");
        await context.Response.Body.FlushAsync();
        throw new InvalidOperationException("thrown after the start");
    }

    public static async Task StatusAfterWrite(HttpContext context)
    {
        await context.Response.WriteAsync("Started_");
        await context.Response.Body.FlushAsync();
        var thrown = await Outcomes.NameOf(() =>
        {
            context.Response.StatusCode = 404;
            return Task.CompletedTask;
        });
        await context.Response.WriteAsync(thrown);
    }

    public static async Task HeaderAfterWrite(HttpContext context)
    {
        await context.Response.WriteAsync("Started_");
        await context.Response.Body.FlushAsync();
        var thrown = await Outcomes.NameOf(() =>
        {
            context.Response.Headers["This will fail"] = "some value";
            return Task.CompletedTask;
        });
        await context.Response.WriteAsync(thrown);
    }

    public static async Task LargeResponseBody(HttpContext context)
    {
        var length = long.Parse(context.Request.Query["length"].ToString(), CultureInfo.InvariantCulture);
        var piece = Encoding.ASCII.GetBytes(new string('a', 64 * 1024));
        for (var sent = 0L; sent < length;)
        {
            var count = (int)Math.Min(piece.Length, length - sent);
            await context.Response.Body.WriteAsync(piece.AsMemory(0, count));
            sent += count;
        }
    }

    /// <summary>As many bytes as are wanted; the byte at each position depends on the position alone.</summary>
    public static async Task Pattern(HttpContext context)
    {
        const int Period = 251;
        var length = long.Parse(context.Request.Query["length"].ToString(), CultureInfo.InvariantCulture);
        var piece = new byte[Period * 256];
        for (var index = 0; index < piece.Length; index++)
        {
            piece[index] = (byte)(index % Period);
        }

        context.Response.ContentLength = length;
        for (var sent = 0L; sent < length;)
        {
            var count = (int)Math.Min(piece.Length, length - sent);
            await context.Response.Body.WriteAsync(piece.AsMemory(0, count));
            sent += count;
        }
    }

    /// <summary>Begins at once, and ends after a time.</summary>
    public static async Task Span(HttpContext context)
    {
        await context.Response.WriteAsync("begun\n");
        await context.Response.Body.FlushAsync();
        await Task.Delay(int.Parse(context.Request.Query["ms"].ToString(), CultureInfo.InvariantCulture));
        await context.Response.WriteAsync("ended\n");
    }

    public static Task LargeResponseAtOnce(HttpContext context)
    {
        var length = int.Parse(context.Request.Query["length"].ToString(), CultureInfo.InvariantCulture);
        var body = new byte[length];
        Array.Fill(body, (byte)'a');
        return context.Response.Body.WriteAsync(body).AsTask();
    }

    public static async Task LargeResponseFile(HttpContext context)
    {
        var length = long.Parse(context.Request.Query["length"].ToString(), CultureInfo.InvariantCulture);
        var path = System.IO.Path.GetTempFileName();
        try
        {
            await using (var file = File.OpenWrite(path))
            {
                var piece = Encoding.ASCII.GetBytes(new string('a', 64 * 1024));
                for (var written = 0L; written < length; written += piece.Length)
                {
                    await file.WriteAsync(piece.AsMemory(0, (int)Math.Min(piece.Length, length - written)));
                }
            }

            await context.Response.SendFileAsync(path);
        }
        finally
        {
            File.Delete(path);
        }
    }

    public static async Task WriteManyTimes(HttpContext context)
    {
        for (var round = 0; round < 10_000; round++)
        {
            await context.Response.WriteAsync("hello world");
        }
    }

    public static Task UnflushedPipe(HttpContext context)
    {
        var writer = context.Response.BodyWriter;
        writer.GetMemory(10).Span[..10].Fill((byte)'a');
        writer.Advance(10);
        return Task.CompletedTask;
    }

    public static async Task FlushedAndUnflushedPipe(HttpContext context)
    {
        await UnflushedPipe(context);
        await context.Response.BodyWriter.FlushAsync();
        await UnflushedPipe(context);
    }

    public static async Task CompleteAsync(HttpContext context)
    {
        await context.Response.WriteAsync("complete");
        await context.Response.CompleteAsync();
        Outcomes.Tell(context, "completed");
        await context.RequestServices.GetRequiredService<IHostApplicationLifetime>()
            .ApplicationStopping.WhenCanceled();
    }

    public static Task OnCompletedContext(HttpContext context)
    {
        context.Response.OnCompleted(() =>
        {
            var seen = $"{context.Request.Method} {context.Request.Path} {context.Response.StatusCode} "
                + $"{context.Connection.Id.Length > 0} {context.Request.Headers.Host.Count} "
                + $"{context.Response.HasStarted}";
            Outcomes.Tell(context, seen);
            return Task.CompletedTask;
        });
        return context.Response.WriteAsync("done");
    }

    public static Task OnCompletedThrows(HttpContext context)
    {
        context.Response.OnCompleted(() => throw new InvalidOperationException("thrown on purpose"));
        return context.Response.WriteAsync("still fine");
    }

    public static Task OnStartingThrows(HttpContext context)
    {
        context.Response.OnStarting(() => throw new InvalidOperationException("thrown on purpose"));
        return context.Response.WriteAsync("never seen");
    }

    public static async Task CompressedData(HttpContext context)
    {
        context.Response.Headers.ContentEncoding = "gzip";
        await using var gzip = new GZipStream(context.Response.Body, CompressionLevel.Fastest, leaveOpen: true);
        await gzip.WriteAsync(new byte[100]);
    }

    public static Task BodyWithLength(HttpContext context)
    {
        context.Response.ContentLength = 5;
        return context.Response.WriteAsync("12345");
    }

    /// <summary>More than was announced: the app's fault, which it is told.</summary>
    public static async Task TooMuchBody(HttpContext context)
    {
        context.Response.ContentLength = 5;
        var thrown = await Outcomes.NameOf(() => context.Response.WriteAsync("123456"));
        Outcomes.Tell(context, thrown);
        await context.Response.WriteAsync("12345");
    }

    public static Task TooLittleBody(HttpContext context)
    {
        context.Response.ContentLength = 5;
        return context.Response.WriteAsync("1234");
    }
}
