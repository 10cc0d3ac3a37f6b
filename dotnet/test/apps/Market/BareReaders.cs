using System.IO.Pipelines;

using static Market.Bare;

namespace Market;

/// <summary>Readers of request bodies that are not used as they should be.</summary>
internal static class BareReaders
{
    internal static async Task Run(HttpContext context, string how, Action<string> tell)
    {
        var reader = context.Request.BodyReader;
        tell(how switch
        {
            "try" => await Try(reader),
            "twice" => await Twice(reader),
            "unread" => Refused(() => reader.AdvanceTo(default)),
            "pending" => await Pending(reader),
            _ => await Trailers(context.Request),
        });
    }

    /// <summary>A body that turns out to be none is swallowed, or answered by the application.</summary>
    internal static async Task Chunk(HttpContext context, string how, Action<string> tell)
    {
        try
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
        }
        catch (BadHttpRequestException bad) when (how != "thrown")
        {
            tell($"{bad.StatusCode}");
            context.Response.StatusCode = how == "own" ? 422 : 200;
        }
    }

    /// <summary>The application gives up while it waits for more of the body.</summary>
    internal static async Task GivenUp(HttpContext context, string how, Action<string> tell)
    {
        var request = context.Request;
        var read = how switch
        {
            "stream" => request.Body.ReadAsync(new byte[1]).AsTask(),
            "copy" => request.Body.CopyToAsync(Stream.Null),
            _ => request.BodyReader.ReadAsync().AsTask(),
        };
        var waits = !read.IsCompleted;
        context.Abort();
        tell($"{waits} {(await Refused(() => read)).Split(':')[0]}");
    }

    /// <summary>Never waits, and gets everything all the same.</summary>
    private static async Task<string> Try(PipeReader reader)
    {
        var length = 0L;
        while (true)
        {
            if (!reader.TryRead(out var result))
            {
                await Task.Delay(1);
                continue;
            }

            length += result.Buffer.Length;
            reader.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return $"{length}";
            }
        }
    }

    private static async Task<string> Twice(PipeReader reader)
    {
        var first = await reader.ReadAtLeastAsync(12);
        var second = await Refused(() => reader.ReadAsync().AsTask());
        var third = Refused(() => reader.TryRead(out _));
        reader.AdvanceTo(first.Buffer.End);
        var last = await reader.ReadAsync();
        reader.AdvanceTo(last.Buffer.End);
        return $"{second}|{third}|{last.IsCompleted}";
    }

    /// <summary>A wait for what has not come yet is canceled, and the next one is not.</summary>
    private static async Task<string> Pending(PipeReader reader)
    {
        var first = await reader.ReadAsync();
        reader.AdvanceTo(first.Buffer.End);
        var pending = reader.ReadAsync();
        reader.CancelPendingRead();
        var canceled = await pending;
        reader.AdvanceTo(canceled.Buffer.Start);
        var next = await reader.ReadAsync();
        reader.AdvanceTo(next.Buffer.End);
        return $"{canceled.IsCanceled} {next.IsCanceled}";
    }

    private static async Task<string> Trailers(HttpRequest request)
    {
        await request.Body.CopyToAsync(Stream.Null);
        return $"{request.SupportsTrailers()} {request.CheckTrailersAvailable()} '{request.GetDeclaredTrailers()}' '{request.GetTrailer("x")}'";
    }
}
