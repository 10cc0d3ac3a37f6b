using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Market;

/// <summary>Pipes and streams of request and response, used in ways that few use them.</summary>
internal static class Odd
{
    private static readonly ConcurrentDictionary<string, string> s_outcomes = new();

    internal static void Map(WebApplication app)
    {
        var group = app.MapGroup("/odd");
        group.MapGet("/outcome", (string of) => s_outcomes.GetValueOrDefault(of, "none"));
        MapWriters(group);
        MapReaders(group);
    }

    private static void MapWriters(RouteGroupBuilder group)
    {
        group.MapGet("/cancelled-flush", async (HttpResponse response) =>
        {
            var writer = response.BodyWriter;
            writer.CancelPendingFlush();
            var first = await writer.WriteAsync("first "u8.ToArray());
            var second = await writer.WriteAsync("second "u8.ToArray());
            await response.WriteAsync($"{first.IsCanceled} {first.IsCompleted} {second.IsCanceled}");
        });
        group.MapGet("/aborted-write", async (HttpContext context) =>
        {
            context.Abort();
            var pipe = await context.Response.BodyWriter.WriteAsync("x"u8.ToArray());
            var stream = await Thrown(() => context.Response.Body.WriteAsync("x"u8.ToArray()).AsTask());
            s_outcomes["aborted-write"] = $"{pipe.IsCompleted} {pipe.IsCanceled} {stream} {context.RequestAborted.IsCancellationRequested}";
        });
        group.MapGet("/aborted", (HttpContext context) => context.Abort());
        group.MapGet("/aborted-throws", (HttpContext context) =>
        {
            context.Abort();
            throw new InvalidOperationException("after the abort");
        });
        group.MapGet("/aborted-cancelled", (HttpContext context) =>
        {
            context.Abort();
            return Task.Delay(Timeout.Infinite, context.RequestAborted);
        });
        group.MapGet("/aborted-lost", (HttpContext context) =>
        {
            context.Abort();
            throw new IOException("nobody listens");
        });
        group.MapGet("/starting-caught", async (HttpContext context) =>
        {
            context.Response.OnStarting(() =>
            {
                s_outcomes["starting-other"] = "called";
                return Task.CompletedTask;
            });
            context.Response.OnStarting(() => throw new FormatException("while it starts"));
            try
            {
                await context.Response.BodyWriter.WriteAsync("never seen"u8.ToArray());
                s_outcomes["starting-caught"] = "nothing";
            }
            catch (Exception error)
            {
                s_outcomes["starting-caught"] = $"{error.GetType().Name} {error.InnerException?.GetType().Name}";
            }
        });
        group.MapGet("/starting-within", async (HttpContext context) =>
        {
            context.Response.OnStarting(() =>
            {
                context.Response.OnStarting(() =>
                {
                    context.Response.Headers["X-Inner"] = "1";
                    return Task.CompletedTask;
                });
                context.Response.Headers["X-Outer"] = "1";
                return Task.CompletedTask;
            });
            await context.Response.WriteAsync("both");
        });
        group.MapGet("/completed-within", (HttpContext context) =>
        {
            context.Response.OnCompleted(() =>
            {
                context.Response.OnCompleted(() =>
                {
                    s_outcomes["completed-within"] = $"inner {context.Response.StatusCode}";
                    return Task.CompletedTask;
                });
                throw new FormatException("does not matter");
            });
            return "said";
        });
        group.MapGet("/advanced", async (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            var text = new StringBuilder();
            text.Append(writer.CanGetUnflushedBytes).Append(' ');
            var memory = writer.GetMemory(10);
            "0123456789"u8.CopyTo(memory.Span);
            writer.Advance(4);
            text.Append(writer.UnflushedBytes).Append(' ');
            text.Append(await Thrown(() => Advance(writer, int.MaxValue))).Append(' ');
            text.Append(await Thrown(() => Advance(writer, -1))).Append(' ');
            text.Append(writer.GetMemory().Length > 0).Append(' ').Append(writer.GetMemory(100_000).Length >= 100_000).Append(' ');
            await writer.FlushAsync();
            text.Append(writer.UnflushedBytes).Append(' ');
            await context.Response.WriteAsync(text.ToString());
        });
        group.MapGet("/completed-writer/{how}", async (HttpContext context, string how) =>
        {
            var writer = context.Response.BodyWriter;
            await writer.WriteAsync("before "u8.ToArray());
            await writer.CompleteAsync(how == "error" ? new FormatException("on purpose") : null);
            var get = await Thrown(() => Task.FromResult(writer.GetMemory()));
            var write = await Thrown(() => writer.WriteAsync("x"u8.ToArray()).AsTask());
            var flush = await Thrown(() => writer.FlushAsync().AsTask());
            var stream = await Thrown(() => context.Response.Body.WriteAsync("y"u8.ToArray()).AsTask());
            s_outcomes[$"completed-writer-{how}"] = $"{get} {write} {flush} {stream}";
        });
        group.MapGet("/streams", async (HttpContext context) =>
        {
            var body = context.Response.Body;
            var text = $"{body.CanRead} {body.CanSeek} {body.CanWrite} {body.CanTimeout} "
                + $"{await Thrown(() => Task.FromResult(body.Length))} {await Thrown(() => Task.FromResult(body.Position))} "
                + $"{await Thrown(() => body.ReadAsync(new byte[1]).AsTask())} "
                + $"{await Thrown(() => Task.FromResult(body.Seek(0, SeekOrigin.Begin)))} "
                + $"{await Thrown(() => Write(body, new byte[1], 0, 1))} {await Thrown(() => Flush(body))} "
                + $"{await Thrown(() => body.WriteAsync(new byte[1], 1, 1))} "
                + $"{await Thrown(() => body.WriteAsync(new byte[1], -1, 1))}";
            await context.Response.WriteAsync(text);
        });
        group.MapGet("/own-feature", async (HttpContext context) =>
        {
            var original = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
            using var buffer = new MemoryStream();
            context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(buffer, original));
            await context.Response.WriteAsync("buffered");
            await context.Response.BodyWriter.WriteAsync(" twice"u8.ToArray());
            await context.Response.CompleteAsync();
            context.Features.Set(original);
            context.Response.Headers["X-Length"] = buffer.Length.ToString(System.Globalization.CultureInfo.InvariantCulture);
            await context.Response.Body.WriteAsync(buffer.ToArray());
        });
    }

    private static void MapReaders(RouteGroupBuilder group)
    {
        group.MapPost("/reader", async (HttpContext context) =>
        {
            var reader = context.Request.BodyReader;
            var text = new StringBuilder();
            reader.CancelPendingRead();
            var read = await reader.ReadAsync();
            text.Append($"{read.IsCanceled} ");
            reader.AdvanceTo(read.Buffer.Start);
            read = await reader.ReadAtLeastAsync(6);
            text.Append($"{Encoding.ASCII.GetString(read.Buffer.Slice(0, 3))} ");
            reader.AdvanceTo(read.Buffer.GetPosition(3), read.Buffer.GetPosition(6));
            var stream = context.Request.Body;
            var rest = await new StreamReader(stream).ReadToEndAsync();
            text.Append(rest.Length).Append(' ').Append(await stream.ReadAsync(new byte[1])).Append(' ');
            read = await reader.ReadAsync();
            text.Append($"{read.IsCompleted} {read.Buffer.Length} ");
            reader.AdvanceTo(read.Buffer.End);
            await reader.CompleteAsync();
            text.Append(await Thrown(() => reader.ReadAsync().AsTask())).Append(' ');
            await context.Response.WriteAsync(text.ToString());
        });
        group.MapPost("/body", async (HttpContext context) =>
        {
            var body = context.Request.Body;
            var text = $"{body.CanRead} {body.CanSeek} {body.CanWrite} {body.CanTimeout} "
                + $"{await Thrown(() => Task.FromResult(body.Length))} {await Thrown(() => Task.FromResult(body.Position))} "
                + $"{await Thrown(() => Write(body, new byte[1], 0, 1))} {await Thrown(() => body.WriteAsync(new byte[1]).AsTask())} "
                + $"{await Thrown(() => Task.FromResult(body.Seek(0, SeekOrigin.Begin)))} {await Thrown(() => Flush(body))} "
                + $"{await Thrown(() => body.FlushAsync())} {await Thrown(() => Task.FromResult(body.Read(new byte[1], 0, 1)))} "
                + $"{await body.ReadAsync(Memory<byte>.Empty)} ";
            using var all = new MemoryStream();
            await body.CopyToAsync(all, 3);
            await context.Response.WriteAsync(text + all.Length + " " + await body.ReadAsync(new byte[1]));
        });
        group.MapPost("/completed-reader", async (HttpContext context) =>
        {
            await context.Request.BodyReader.CompleteAsync();
            return await Thrown(() => context.Request.Body.ReadAsync(new byte[1]).AsTask())
                + " " + await Thrown(() => context.Request.BodyReader.ReadAsync().AsTask());
        });
        group.MapPost("/replaced", async (HttpContext context) =>
        {
            context.Request.Body = new MemoryStream("another"u8.ToArray());
            var read = await context.Request.BodyReader.ReadAsync();
            var text = Encoding.ASCII.GetString(read.Buffer.ToArray());
            context.Request.BodyReader.AdvanceTo(read.Buffer.End);
            return $"{text} {context.Request.ContentLength}";
        });
        group.MapPost("/cancelled", async (HttpContext context) =>
        {
            using var cancelled = new CancellationTokenSource();
            cancelled.Cancel();
            return $"{await Thrown(() => context.Request.Body.ReadAsync(new byte[1], cancelled.Token).AsTask())} "
                + $"{await Thrown(() => context.Request.BodyReader.ReadAsync(cancelled.Token).AsTask())} "
                + $"{await Thrown(() => context.Response.Body.WriteAsync(new byte[1], cancelled.Token).AsTask())} "
                + $"{await Thrown(() => context.Response.BodyWriter.FlushAsync(cancelled.Token).AsTask())} {context.Response.HasStarted} "
                + await new StreamReader(context.Request.Body).ReadToEndAsync();
        });
    }

    private static Task Advance(PipeWriter writer, int count)
    {
        writer.Advance(count);
        return Task.CompletedTask;
    }

    private static Task Write(Stream stream, byte[] bytes, int offset, int count)
    {
        stream.Write(bytes, offset, count);
        return Task.CompletedTask;
    }

    private static Task Flush(Stream stream)
    {
        stream.Flush();
        return Task.CompletedTask;
    }

    private static async Task<string> Thrown(Func<Task> action)
    {
        try
        {
            await action();
            return "nothing";
        }
        catch (OperationCanceledException)
        {
            return "cancelled";
        }
        catch (Exception error)
        {
            return error.GetType().Name;
        }
    }
}
