using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Market;

/// <summary>Requests that no middleware stands in front of: what the server itself makes of mistakes.</summary>
internal static class Bare
{
    private static readonly ConcurrentDictionary<string, string> s_told = new();
    private static readonly ConcurrentDictionary<string, TaskCompletionSource> s_gates = new();
    private static readonly byte[] s_hello = "hello, world"u8.ToArray();

    /// <summary>What a case does: the request, how it does it, and where it tells what came of it.</summary>
    private delegate Task Case(HttpContext context, string how, Action<string> tell);

    internal static void UseBareBranch(this WebApplication app, ServerLog log) => app.Map("/bare", branch => branch.Run(context =>
    {
        var parts = context.Request.Path.Value!.Split('/');
        var how = parts.Length > 2 ? parts[2] : string.Empty;
        var name = $"{parts[1]}/{how}";
        var of = context.Request.Query["of"].ToString();
        switch (parts[1])
        {
            case "told":
                return context.Response.WriteAsync(s_told.GetValueOrDefault(of, "none"));
            case "logged":
                return context.Response.WriteAsync(log.Of(s_told.GetValueOrDefault($"trace of {of}", "nobody")));
            case "open":
                Gate(how).TrySetResult();
                return Task.CompletedTask;
            case "next":
                return context.Response.WriteAsync("next");
        }

        s_told[$"trace of {name}"] = context.TraceIdentifier;
        Case run = parts[1] switch
        {
            "relaxed" => Relaxed,
            "strict" => Strict,
            "short" => Short,
            "completed" => Completed,
            "writer-error" => WriterError,
            "reader-error" => ReaderError,
            "unleased" => Unleased,
            "unwritten" => Unwritten,
            "throws" => Throws,
            "callbacks" => Callbacks,
            "trace" => (context, _, _) => context.Response.WriteAsync(context.TraceIdentifier),
            "reader" => BareReaders.Run,
            "chunk" => BareReaders.Chunk,
            "abort" => BareReaders.GivenUp,
            "cancelled" => Cancelled,
            "gone" => Gone,
            "upgraded" => Upgraded,
            "early" => BareEnds.Early,
            "behind" => BareEnds.Behind,
            "limit" => BareEnds.Limit,
            "fields" => BareEnds.Fields,
            "streams" => BareEnds.Streams,
            "headers" => BareCollections.Headers,
            "features" => BareCollections.Features,
            "leaving" => BareClients.Leaving,
            "taken-over" => BareClients.TakenOver,
            "target" => BareClients.Target,
            "left" => BareStates.Left,
            "coded" => BareStates.Coded,
            "lengthy" => BareStates.Lengthy,
            "silent" => BareStates.Silent,
            "too-large" => BareStates.TooLarge,
            "first" => BareStates.First,
            "held" => BareStates.Held,
            _ => (context, _, _) =>
            {
                context.Response.StatusCode = 404;
                return Task.CompletedTask;
            },
        };
        return run(context, how, text => s_told[name] = text);
    }));

    internal static string Refused(Action action)
    {
        try
        {
            action();
            return "fine";
        }
        catch (Exception error)
        {
            return $"{error.GetType().Name}: {error.Message}";
        }
    }

    internal static async Task<string> Refused(Func<Task> action)
    {
        try
        {
            await action();
            return "fine";
        }
        catch (Exception error)
        {
            return $"{error.GetType().Name}: {error.Message}";
        }
    }

    internal static TaskCompletionSource Gate(string name)
        => s_gates.GetOrAdd(name, _ => new(TaskCreationOptions.RunContinuationsAsynchronously));

    /// <summary>The length that is wrong is taken back when the response starts.</summary>
    private static async Task Relaxed(HttpContext context, string how, Action<string> tell)
    {
        var response = context.Response;
        response.OnStarting(() =>
        {
            response.ContentLength = null;
            return Task.CompletedTask;
        });
        response.ContentLength = s_hello.Length - 1;
        switch (how)
        {
            case "pipe":
                await response.BodyWriter.WriteAsync(s_hello);
                break;
            case "stream":
                await response.Body.WriteAsync(s_hello);
                break;
            case "halves":
                await response.BodyWriter.WriteAsync(s_hello.AsMemory(0, 6));
                await response.BodyWriter.WriteAsync(s_hello.AsMemory(6));
                break;
            case "large":
                await response.Body.WriteAsync(new byte[500_000]);
                break;
            default:
                context.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
                response.Body.Write(s_hello, 0, s_hello.Length);
                break;
        }
    }

    /// <summary>The length, or a status without a body, comes only when the response starts.</summary>
    private static async Task Strict(HttpContext context, string how, Action<string> tell)
    {
        context.Response.OnStarting(() =>
        {
            if (how == "status")
            {
                context.Response.StatusCode = 204;
            }
            else
            {
                context.Response.ContentLength = how == "less" ? 5 : 20;
            }

            return Task.CompletedTask;
        });
        tell(await Refused(() => context.Response.Body.WriteAsync(s_hello).AsTask()));
    }

    /// <summary>The body ends before its length: "unstarted-" when nothing was written at all.</summary>
    private static async Task Short(HttpContext context, string how, Action<string> tell)
    {
        var response = context.Response;
        response.ContentLength = 13;
        if (!how.StartsWith("unstarted-", StringComparison.Ordinal))
        {
            await response.WriteAsync("hello, world");
        }

        tell(await Refused(() => Complete(response, how.Split('-')[^1])));
    }

    /// <summary>The client has it all, even while the application goes on.</summary>
    private static async Task Completed(HttpContext context, string how, Action<string> tell)
    {
        var (response, writer) = (context.Response, context.Response.BodyWriter);
        await response.WriteAsync("hello, world");
        await Complete(response, how);
        string[] after =
        [
            await Refused(() => response.StartAsync()),
            await Refused(() => response.Body.FlushAsync()),
            await Refused(() => writer.FlushAsync().AsTask()),
            await Refused(() => response.Body.WriteAsync(s_hello).AsTask()),
            await Refused(() => writer.WriteAsync(s_hello).AsTask()),
            await Refused(() => Task.FromResult(writer.GetMemory().Length)),
            await Refused(() => response.SendFileAsync(typeof(Bare).Assembly.Location)),
            await Refused(() => response.CompleteAsync()),
            await Refused(() => writer.CompleteAsync().AsTask()),
            $"{await context.Request.Body.ReadAsync(new byte[1])}",
        ];
        if (context.Request.Query.ContainsKey("wait"))
        {
            await Gate(how).Task;
        }

        tell(string.Join('|', after));
    }

    private static async Task Complete(HttpResponse response, string how)
    {
        switch (how)
        {
            case "sync":
                response.BodyWriter.Complete();
                break;
            case "async":
                await response.BodyWriter.CompleteAsync();
                break;
            default:
                await response.CompleteAsync();
                break;
        }
    }

    /// <summary>A large write is cancelled when a part of it has arrived.</summary>
    private static async Task Cancelled(HttpContext context, string how, Action<string> tell)
    {
        using var source = new CancellationTokenSource();
        var large = new byte[100_000_000];
        var write = how == "pipe"
            ? context.Response.BodyWriter.WriteAsync(large, source.Token).AsTask()
            : context.Response.Body.WriteAsync(large, source.Token).AsTask();
        await Gate($"cancel-{how}").Task;
        await source.CancelAsync();
        tell((await Refused(() => write)).Split(':')[0]);
    }

    /// <summary>Waits until nobody waits for the answer, or gives up.</summary>
    private static async Task Gone(HttpContext context, string how, Action<string> tell)
    {
        var token = context.RequestAborted;
        if (how == "given-up")
        {
            context.Abort();
        }

        tell("waiting");
        try
        {
            await Task.Delay(Timeout.Infinite, token);
        }
        catch (OperationCanceledException error)
        {
            tell($"gone {error.CancellationToken == context.RequestAborted} {token == context.RequestAborted}");
        }
    }

    private static Task WriterError(HttpContext context, string how, Action<string> tell)
    {
        context.Response.BodyWriter.Complete(new FormatException("on purpose"));
        return Task.CompletedTask;
    }

    private static async Task ReaderError(HttpContext context, string how, Action<string> tell)
    {
        var reader = context.Request.BodyReader;
        var read = await reader.ReadAsync();
        reader.AdvanceTo(read.Buffer.End);
        reader.Complete(new FormatException("on purpose"));
        tell(await Refused(() => context.Response.BodyWriter.WriteAsync(s_hello).AsTask()));
    }

    private static async Task Unleased(HttpContext context, string how, Action<string> tell)
    {
        var writer = context.Response.BodyWriter;
        var first = Refused(() => writer.Advance(1));
        _ = writer.GetMemory();
        await context.Response.StartAsync();
        tell($"{first}|{Refused(() => writer.Advance(1))}|{Refused(() => writer.Advance(-1))}");
    }

    private static Task Unwritten(HttpContext context, string how, Action<string> tell)
    {
        context.Response.ContentLength = 5;
        return Task.CompletedTask;
    }

    private static async Task Throws(HttpContext context, string how, Action<string> tell)
    {
        var response = context.Response;
        switch (how)
        {
            case "empty-write":
                await response.BodyWriter.WriteAsync(ReadOnlyMemory<byte>.Empty);
                break;
            case "null":
                // A signal first: its handler needs room on the thread that runs the application.
                s_told[$"throws/{how}"] = Refused(() => _ = ((string)context.Items["nothing"]!).Length);
                _ = ((string)context.Items["nothing"]!).Length;
                break;
            case "started":
                await response.StartAsync();
                break;
            case "all-written":
                response.ContentLength = 12;
                await response.BodyWriter.WriteAsync(s_hello);
                break;
            case "completed" or "writer-completed":
                await response.WriteAsync("hello, world");
                await Complete(response, how == "completed" ? "response" : "async");
                break;
            default:
                response.Headers.ContentLength = 12;
                response.OnStarting(() => throw new NotSupportedException("never called"));
                break;
        }

        throw new FormatException("on purpose");
    }

    private static Task Callbacks(HttpContext context, string how, Action<string> tell)
    {
        context.Response.OnCompleted(() =>
        {
            tell(string.Create(CultureInfo.InvariantCulture, $"{context.Response.StatusCode}"));
            throw new FormatException("first");
        });
        context.Response.OnCompleted(() => Task.FromException(new FormatException("second")));
        return context.Response.WriteAsync("hello, world");
    }

    private static async Task Upgraded(HttpContext context, string how, Action<string> tell)
    {
        var (response, writer, body) = (context.Response, context.Response.BodyWriter, context.Response.Body);
        await using var stream = await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var text = new StringBuilder();
        text.Append(await Refused(() => body.WriteAsync(new byte[1]).AsTask())).Append('|');
        text.Append(await Refused(() => writer.WriteAsync(new byte[1]).AsTask())).Append('|');
        text.Append(await Refused(() => response.WriteAsync("x"))).Append('|');
        text.Append(await context.Request.Body.ReadAsync(new byte[128])).Append('|');
        text.Append(await Refused(() => Task.FromResult(stream.Read(new byte[1], 0, 1)))).Append('|');
        text.Append(Refused(() => stream.Write(new byte[1], 0, 1))).Append('|').Append(Refused(stream.Flush)).Append('|');
        text.Append($"{limit.IsReadOnly} {limit.MaxRequestBodySize} {Refused(() => limit.MaxRequestBodySize = 5)}|");
        text.Append($"{response.HasStarted} {response.StatusCode} {stream.CanRead} {stream.CanWrite} {stream.CanSeek} {stream.CanTimeout}");
        tell(text.ToString());
        var buffer = new byte[100];
        var read = await stream.ReadAsync(buffer);
        await stream.WriteAsync(buffer.AsMemory(0, read));
    }
}
