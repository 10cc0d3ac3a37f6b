using System.Text;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

using static Market.Bare;

namespace Market;

/// <summary>What one request leaves behind for the next of its connection, and codings that the application brings.</summary>
internal static class BareStates
{
    /// <summary>Each leaves something that the next must not find; all look for what others may have left.</summary>
    internal static async Task Left(HttpContext context, string how, Action<string> tell)
    {
        var (response, writer) = (context.Response, context.Response.BodyWriter);
        var feature = context.Features.GetRequiredFeature<IHttpResponseFeature>();
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var control = context.Features.GetRequiredFeature<IHttpBodyControlFeature>();
        var found = $"{response.StatusCode} {feature.ReasonPhrase} {response.Headers.Count} {response.HasStarted} {response.Body.CanSeek} "
            + $"{limit.MaxRequestBodySize} {limit.IsReadOnly} {control.AllowSynchronousIO} {context.Items.Count} {context.User.Identity?.Name} "
            + $"{writer.UnflushedBytes}";
        context.Items["left"] = how;
        switch (how)
        {
            case "next":
                // A refused advance makes Kestrel send chunks, which it does here anyway.
                await response.StartAsync();
                found += Refused(() => writer.Advance(1)).Split(':')[0];
                break;
            case "memory":
                _ = writer.GetMemory();
                break;
            case "advanced":
                "a"u8.CopyTo(writer.GetSpan());
                writer.Advance(1);
                break;
            case "flushed" or "length":
                response.ContentLength = how == "length" ? 1 : null;
                "a"u8.CopyTo(writer.GetSpan());
                writer.Advance(1);
                await writer.FlushAsync();
                break;
            case "headers":
                feature.Headers = new HeaderDictionary { ["X-Own"] = "own" };
                break;
            case "headers-written":
                feature.Headers = new HeaderDictionary { ["X-Own"] = "own", ["Content-Length"] = "1" };
                await response.WriteAsync("a");
                break;
            case "status":
                response.StatusCode = 299;
                feature.ReasonPhrase = "Left";
                control.AllowSynchronousIO = true;
                limit.MaxRequestBodySize = 1;
                break;
            case "body":
                var (body, first) = (response.Body, Replaced(response));
                var second = Replaced(response);
                await second.WriteAsync("instead"u8.ToArray());
                await response.Body.WriteAsync("instead"u8.ToArray());
                found += $" {ReferenceEquals(first, second)} {response.Body.Length}";
                response.Body = body;
                await response.WriteAsync("a");
                break;
            case "body-kept":
                await Replaced(response).WriteAsync("instead"u8.ToArray());
                break;
            case "user":
                context.User = new(new System.Security.Claims.ClaimsIdentity([new(System.Security.Claims.ClaimTypes.Name, "left")], "own"));
                break;
            case "throws":
                response.Headers["X-Own"] = "own";
                throw new FormatException("on purpose");
            case "starting-throws":
                response.OnStarting(() => throw new FormatException("on purpose"));
                await Refused(() => writer.FlushAsync().AsTask());
                break;
        }

        tell(found);
    }

    /// <summary>Codings of the application's own: "code.keep-alive" says what it wants of the connection.</summary>
    internal static Task Coded(HttpContext context, string how, Action<string> tell)
    {
        var parts = how.Split('.');
        context.Response.Headers.TransferEncoding = parts[0].Replace('+', ',');
        if (parts.Length > 1)
        {
            context.Response.Headers.Connection = parts[1];
        }

        return context.Response.WriteAsync(parts[0].EndsWith("chunked", StringComparison.Ordinal) ? "5\r\nhello\r\n0\r\n\r\n" : "hello");
    }

    /// <summary>A status that has no body, or another one, and a length.</summary>
    internal static async Task Lengthy(HttpContext context, string how, Action<string> tell)
    {
        context.Response.StatusCode = int.Parse(how, System.Globalization.CultureInfo.InvariantCulture);
        var length = Refused(() => context.Response.ContentLength = 42);
        tell($"{length}|{await Refused(() => context.Response.StartAsync())}|{await Refused(() => context.Response.Body.FlushAsync())}");
    }

    /// <summary>Nobody is answered.</summary>
    internal static Task Silent(HttpContext context, string how, Action<string> tell)
    {
        if (how == "connection")
        {
            context.Features.GetRequiredFeature<IConnectionLifetimeFeature>().Abort();
        }
        else
        {
            context.Abort();
        }

        return Task.CompletedTask;
    }

    /// <summary>Every read of a body that is too large fails, and the last failure is the answer.</summary>
    internal static async Task TooLarge(HttpContext context, string how, Action<string> tell)
    {
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var before = limit.MaxRequestBodySize;
        limit.MaxRequestBodySize = 3;
        var text = new StringBuilder();
        text.Append(before);
        for (var time = 0; time < 2; time++)
        {
            text.Append('|').Append(await Refused(() => context.Request.Body.ReadAsync(new byte[10]).AsTask()));
            text.Append('|').Append(Refused(() => limit.MaxRequestBodySize = 100)).Append(limit.IsReadOnly);
        }

        tell(text.ToString());
        if (how == "throws")
        {
            await context.Request.Body.ReadExactlyAsync(new byte[10]);
        }
    }

    /// <summary>Reads one byte and answers.</summary>
    internal static async Task First(HttpContext context, string how, Action<string> tell)
    {
        var read = await context.Request.Body.ReadAsync(new byte[1]);
        if (how == "writes")
        {
            await context.Response.WriteAsync($"{read}");
        }
    }

    /// <summary>What was written is with the client before the application goes on.</summary>
    internal static async Task Held(HttpContext context, string how, Action<string> tell)
    {
        var (response, text) = (context.Response, "hello, world"u8.ToArray());
        var parts = how.Split('-');
        response.ContentLength = parts[0] == "length" ? 12 : null;
        switch (parts[1])
        {
            case "empty":
                await response.WriteAsync("");
                break;
            case "nothing":
                await response.Body.WriteAsync(ReadOnlyMemory<byte>.Empty);
                break;
            case "flush":
                await response.Body.FlushAsync();
                break;
            case "sync":
                context.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
                response.Body.Write(text, 0, 12);
                break;
            case "pipe":
                text.CopyTo(response.BodyWriter.GetMemory(12));
                response.BodyWriter.Advance(12);
                await response.BodyWriter.FlushAsync();
                break;
        }

        await Gate(how).Task;
        if (parts[1] is "empty" or "nothing" or "flush")
        {
            await response.WriteAsync("hello, world");
        }
    }

    private static System.IO.Pipelines.PipeWriter Replaced(HttpResponse response)
    {
        response.Body = new MemoryStream();
        return response.BodyWriter;
    }
}
