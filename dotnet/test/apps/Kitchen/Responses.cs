using System.Buffers;
using System.Text;

using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;

namespace Kitchen;

/// <summary>Responses in every form.</summary>
internal static class Responses
{
    /// <summary>What servers know, and some that they do not, out of order.</summary>
    private const string Spellings =
        "www-authenticate x-first WARNING via vary Trailer set-cookie retry-after proxy-authenticate pragma "
        + "strict-transport-security location last-modified grpc-encoding expires etag x-frame-options "
        + "content-range content-md5 content-location content-language content-encoding cache-control alt-svc "
        + "link allow age access-control-max-age access-control-expose-headers access-control-allow-origin "
        + "access-control-allow-methods access-control-allow-headers access-control-allow-credentials "
        + "accept-ranges SERVER date content-type P3P content-disposition";

    private static readonly StringBuilder s_diary = new();

    internal static void MapResponses(this WebApplication app)
    {
        app.MapGet("/text", () => "text");
        app.MapMethods("/any", ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "PURGE"], (HttpRequest request) => $"{request.Method} {request.Protocol}");
        app.MapGet("/events", Events);
        app.MapGet("/numbers", () => Numbers());
        app.MapGet("/empty", () => { });
        app.MapGet("/null-headers", (HttpResponse response) =>
        {
            response.Headers["X-Empty"] = "";
            response.Headers["X-Null"] = StringValues.Empty;
            response.Headers["X-Two"] = new StringValues(["one", "two"]);
            response.Headers.Append("X-Comma", "a");
            response.Headers.Append("X-Comma", "b");
            response.Headers.AppendCommaSeparatedValues("X-Joined", "a", "b,c");
            response.Headers.ETag = "\"tag\"";
            response.Headers["X-Removed"] = "no";
            response.Headers.Remove("X-Removed");
            response.Headers["x-case"] = "lower";
            return $"{response.Headers.Count}";
        });
        app.MapGet("/spellings", (HttpResponse response) =>
        {
            response.Headers["x-last"] = "a";
            foreach (var name in Spellings.Split(' '))
            {
                response.Headers[name] = "a";
            }

            response.Headers.Remove("via");
            response.ContentLength = 1;
            var names = string.Join(' ', response.Headers.Keys);
            response.ContentLength = null;
            return names;
        });
        app.MapGet("/long-headers", (HttpResponse response, int count = 50, int length = 1000) =>
        {
            for (var index = 0; index < count; index++)
            {
                response.Headers[$"X-Long-{index}"] = new string((char)('a' + (index % 26)), length);
            }
        });
        app.MapGet("/bad-header", (HttpResponse response) => string.Join('|',
            Bodies.Refused(() => response.Headers["X-Bad"] = "a\nb"),
            Bodies.Refused(() => response.Headers["Bad name"] = "a"),
            Bodies.Refused(() => response.Headers["X-Accent"] = "é"),
            Bodies.Refused(() => response.ContentLength = -1)));
        app.MapGet("/header-after-start", async (HttpResponse response) =>
        {
            await response.WriteAsync("started ");
            await response.WriteAsync(string.Join('|',
                Bodies.Refused(() => response.Headers["X-Late"] = "a"),
                Bodies.Refused(() => response.StatusCode = 201),
                Bodies.Refused(() => response.HttpContext.Features.Get<IHttpResponseFeature>()!.ReasonPhrase = "Late"),
                Bodies.Refused(() => response.OnStarting(() => Task.CompletedTask)),
                Bodies.Refused(() => response.Headers.Clear()),
                Bodies.Refused(() => response.ContentType = "text/plain"),
                Bodies.Refused(() => response.ContentLength = 5),
                Bodies.Refused(() => response.Clear()),
                $"{response.HasStarted} {response.Headers.IsReadOnly}"));
        });
        app.MapGet("/reason", (HttpResponse response) =>
        {
            response.StatusCode = 299;
            response.HttpContext.Features.Get<IHttpResponseFeature>()!.ReasonPhrase = "Fine Indeed";
        });
        app.MapGet("/code", (HttpResponse response, int code) => { response.StatusCode = code; });
        app.MapGet("/code-body", async (HttpResponse response, int code) =>
        {
            response.StatusCode = code;
            await response.WriteAsync("body");
        });
        app.MapGet("/callbacks", async (HttpResponse response) =>
        {
            lock (s_diary)
            {
                s_diary.Clear();
            }

            response.OnStarting(() => Note("starting 1"));
            response.OnStarting(() =>
            {
                response.Headers["X-Starting"] = "2";
                return Note("starting 2");
            });
            response.OnCompleted(() => Note("completed 1"));
            response.OnCompleted(() => throw new InvalidOperationException("ignored"));
            response.OnCompleted(() => Note("completed 2"));
            await Note("before");
            await response.WriteAsync("written");
            await Note("after");
        });
        app.MapGet("/diary", () =>
        {
            lock (s_diary)
            {
                return s_diary.ToString();
            }
        });
        app.MapGet("/starting-throws", (HttpResponse response) =>
        {
            response.OnStarting(() => throw new InvalidOperationException("in OnStarting"));
            return "never";
        });
        app.MapGet("/starting-throws-empty", (HttpResponse response) =>
        {
            response.OnStarting(() => throw new InvalidOperationException("in OnStarting"));
        });
        app.MapGet("/start", async (HttpResponse response) =>
        {
            response.Headers["X-Started"] = "yes";
            await response.StartAsync();
            await response.WriteAsync($"{response.HasStarted}");
        });
        app.MapGet("/start-only", (HttpResponse response) => response.StartAsync());
        app.MapGet("/complete", async (HttpContext context, TaskGate gate) =>
        {
            await context.Response.WriteAsync("complete");
            await context.Response.CompleteAsync();
            await gate.Wait();
        });
        app.MapGet("/complete-empty", async (HttpContext context, TaskGate gate) =>
        {
            context.Response.StatusCode = 202;
            await context.Response.CompleteAsync();
            await gate.Wait();
        });
        app.MapGet("/open-gate", (TaskGate gate) => gate.Open());
        app.MapGet("/write-after-complete", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("complete");
            await context.Response.CompleteAsync();
            try
            {
                await context.Response.WriteAsync("too late");
            }
            catch (Exception error)
            {
                await Note(error.GetType().Name);
            }
        });
        app.MapGet("/writer", async (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            for (var piece = 0; piece < 100; piece++)
            {
                var length = Encoding.ASCII.GetBytes($"piece {piece}\n", writer.GetSpan(20));
                writer.Advance(length);
                if (piece % 10 == 9)
                {
                    await writer.FlushAsync();
                }
            }
        });
        app.MapGet("/writer-unflushed", (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            writer.GetMemory(100_000).Span[..100_000].Fill((byte)'u');
            writer.Advance(100_000);
            return Task.CompletedTask;
        });
        app.MapGet("/writer-held", async (HttpContext context) =>
        {
            // Memory that is asked for before a flush and written to behind it.
            var writer = context.Response.BodyWriter;
            context.Response.ContentLength = 5 * "before 0 beside behind 0 ".Length;
            for (var piece = 0; piece < 5; piece++)
            {
                await writer.WriteAsync(Encoding.ASCII.GetBytes($"before {piece}\n"));
                writer.Write("beside "u8);
                var memory = writer.GetMemory(10);
                await writer.FlushAsync();
                writer.Advance(Encoding.ASCII.GetBytes($"behind {piece}\n", memory.Span));
                await writer.FlushAsync();
            }
        });
        app.MapGet("/writer-stream", async (HttpContext context) =>
        {
            await using var text = new StreamWriter(context.Response.BodyWriter.AsStream(leaveOpen: true));
            await text.WriteAsync("through a stream");
        });
        app.MapGet("/writer-completed", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("then ");
            await context.Response.BodyWriter.WriteAsync("completed"u8.ToArray());
            await context.Response.BodyWriter.CompleteAsync();
        });
        app.MapGet("/own-body", async (HttpContext context) =>
        {
            var original = context.Response.Body;
            using var memory = new MemoryStream();
            context.Response.Body = memory;
            await context.Response.WriteAsync("first here");
            context.Response.Body = original;
            context.Response.Headers["X-Length"] = $"{memory.Length}";
            memory.Position = 0;
            await memory.CopyToAsync(original);
        });
        app.MapGet("/sync-write", (HttpContext context) => Bodies.Refused(() => context.Response.Body.Write(new byte[1], 0, 1)));
        app.MapGet("/sync-write-allowed", (HttpContext context) =>
        {
            context.Features.Get<IHttpBodyControlFeature>()!.AllowSynchronousIO = true;
            using var text = new StreamWriter(context.Response.Body, leaveOpen: true);
            text.Write("in one go");
        });
        app.MapGet("/close", (HttpContext context) =>
        {
            context.Connection.RequestClose();
            return "closing";
        });
        app.MapGet("/close-header", (HttpContext context) =>
        {
            context.Response.Headers.Connection = "close";
            return "closing";
        });
        app.MapGet("/abort", (HttpContext context) => context.Abort());
        app.MapGet("/abort-later", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("some");
            await context.Response.Body.FlushAsync();
            context.Abort();
        });
        app.MapGet("/length", async (HttpResponse response) =>
        {
            response.ContentLength = 6;
            await response.WriteAsync("length");
        });
        app.MapMethods("/head-length", ["GET", "HEAD"], (HttpResponse response) => { response.ContentLength = 123; });
        app.MapGet("/declared-trailers", async (HttpResponse response) =>
        {
            var supported = response.SupportsTrailers();
            if (supported)
            {
                response.DeclareTrailer("X-Sum");
            }

            await response.WriteAsync($"{supported} {Bodies.Refused(() => response.AppendTrailer("X-Sum", "1"))}");
        });
        app.MapGet("/many", async (HttpResponse response, int count = 2000) =>
        {
            for (var index = 0; index < count; index++)
            {
                await response.WriteAsync($"{index},");
            }
        });
        app.MapGet("/large", async (HttpResponse response, int size = 3_000_000) =>
        {
            await response.Body.WriteAsync(new byte[size]);
        });
        app.MapGet("/redirect", () => Results.Redirect("/text?é=ü"));
        app.MapGet("/created", () => Results.Created("/somewhere", new { a = 1 }));
        app.MapGet("/server-header", (HttpResponse response) => { response.Headers.Server = "Mine"; response.Headers.Date = "Mon, 01 Jan 2024 00:00:00 GMT"; });
        app.MapGet("/own-chunks", async (HttpResponse response) =>
        {
            response.Headers.TransferEncoding = "chunked";
            await response.WriteAsync("3\r\nabc\r\n0\r\n\r\n");
        });
        app.MapMethods("/own-coding", ["GET", "HEAD"], async (HttpResponse response, int code) =>
        {
            response.StatusCode = code;
            response.Headers.TransferEncoding = "chunked";
            try
            {
                await response.StartAsync();
            }
            catch (InvalidOperationException refused)
            {
                response.Headers.Remove("Transfer-Encoding");
                response.Headers["X-Refused"] = refused.Message;
            }
        });
        app.MapGet("/early-hints", async (HttpResponse response) =>
        {
            response.Headers.Link = "</css/site.css>; rel=preload";
            await response.WriteAsync("linked");
        });
    }

    private static async Task Events(HttpContext context)
    {
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        for (var number = 1; number <= 3; number++)
        {
            await context.Response.WriteAsync($"id: {number}\ndata: event {number}\n\n");
            await context.Response.Body.FlushAsync();
        }
    }

    private static async IAsyncEnumerable<object> Numbers()
    {
        for (var number = 0; number < 1000; number++)
        {
            if (number % 100 == 0)
            {
                await Task.Yield();
            }

            yield return new { number };
        }
    }

    private static Task Note(string text)
    {
        lock (s_diary)
        {
            s_diary.Append(text).Append('\n');
        }

        return Task.CompletedTask;
    }
}
