using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Market;

/// <summary>What a server refuses, and what it goes on with afterwards.</summary>
internal static class Rules
{
    private static readonly ConcurrentDictionary<string, string> s_told = new();
    private static readonly TaskCompletionSource s_gate = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal static void Map(WebApplication app)
    {
        var group = app.MapGroup("/rules");
        group.MapGet("/told", (string of) => s_told.GetValueOrDefault(of, "none"));
        group.MapMethods("/length/{code:int}/{length:long}", ["GET", "POST", "HEAD", "DELETE"], async (HttpContext context, int code, long length) =>
        {
            context.Response.StatusCode = code;
            context.Response.ContentLength = length;
            s_told[$"length-{context.Request.Method}-{code}-{length}"] = await Refusal(() => context.Response.StartAsync());
        });
        group.MapGet("/write/{code:int}", async (HttpContext context, int code) =>
        {
            context.Response.StatusCode = code;
            var stream = await Refusal(() => context.Response.Body.WriteAsync("text"u8.ToArray()).AsTask());
            var writer = await NameOf(() => context.Response.BodyWriter.WriteAsync("text"u8.ToArray()).AsTask());
            s_told[$"write-{code}"] = $"{stream} {writer}";
        });
        group.MapGet("/too-much", async (HttpContext context, int first) =>
        {
            context.Response.ContentLength = 10;
            var begin = await Refusal(() => context.Response.Body.WriteAsync(new byte[first]).AsTask());
            var rest = await Refusal(() => context.Response.Body.WriteAsync(new byte[7]).AsTask());
            var pipe = await Refusal(() => context.Response.BodyWriter.WriteAsync(new byte[7]).AsTask());
            s_told[$"too-much-{first}"] = $"{begin} | {rest} | {pipe}";
        });
        group.MapGet("/slow-completed", (HttpContext context) =>
        {
            context.Response.OnCompleted(async () =>
            {
                await s_gate.Task;
                s_told["slow-completed"] = "after the gate";
            });
            return "before the gate";
        });
        group.MapPost("/gate", () => { s_gate.TrySetResult(); });
        group.MapGet("/empty-write/{how}", async (HttpContext context, string how) =>
        {
            var response = context.Response;
            await (how switch
            {
                "stream" => response.Body.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask(),
                "pipe" => response.BodyWriter.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask(),
                "flush" => response.Body.FlushAsync(),
                _ => response.BodyWriter.FlushAsync().AsTask(),
            });
            await response.WriteAsync($"{response.HasStarted} {response.Headers.IsReadOnly}");
        });
        group.MapGet("/memory-first", async (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            "before "u8.CopyTo(writer.GetSpan(7));
            writer.Advance(7);
            context.Response.Headers["X-Later"] = $"{context.Response.HasStarted}";
            await context.Response.StartAsync();
            "after "u8.CopyTo(writer.GetSpan(6));
            writer.Advance(6);
            await context.Response.WriteAsync("and the rest");
            await context.Response.CompleteAsync();
            s_told["memory-first"] = await Refusal(() => Task.FromResult(writer.GetMemory(1)))
                + await Refusal(() => writer.FlushAsync().AsTask());
        });
        group.MapGet("/many-flushes", async (HttpContext context) =>
        {
            var writer = context.Response.BodyWriter;
            "all of "u8.CopyTo(writer.GetSpan(7));
            writer.Advance(7);
            var flushes = Enumerable.Range(0, 5).Select(_ => writer.FlushAsync().AsTask()).ToArray();
            var done = await Task.WhenAll(flushes);
            await context.Response.WriteAsync($"{done.Count(one => one.IsCompleted || one.IsCanceled)}");
        });
        group.MapGet("/cancelled-write", async (HttpContext context) =>
        {
            var cancelled = new CancellationToken(canceled: true);
            var response = context.Response;
            var text = new StringBuilder();
            text.Append(await NameOf(() => response.StartAsync(cancelled))).Append(' ');
            text.Append(await NameOf(() => response.Body.WriteAsync(new byte[1], cancelled).AsTask())).Append(' ');
            text.Append(await NameOf(() => response.BodyWriter.WriteAsync(new byte[1], cancelled).AsTask())).Append(' ');
            text.Append(await NameOf(() => response.BodyWriter.FlushAsync(cancelled).AsTask())).Append(' ');
            text.Append(response.HasStarted);
            s_told["cancelled-write"] = text.ToString();
        });
        group.MapGet("/send-file/{what}", SendFile);
        group.MapGet("/upgrade", async (HttpContext context) =>
        {
            var feature = context.Features.GetRequiredFeature<IHttpUpgradeFeature>();
            return $"{feature.IsUpgradableRequest} {await Refusal(() => feature.UpgradeAsync())} {context.WebSockets.IsWebSocketRequest}";
        });
        group.MapPost("/aborted-read", async (HttpContext context) =>
        {
            context.Abort();
            s_told["aborted-read"] = await NameOf(() => context.Request.Body.ReadAsync(new byte[1]).AsTask()) + " "
                + await NameOf(() => context.Request.BodyReader.ReadAsync().AsTask()) + " "
                + await NameOf(() => context.Response.StartAsync()) + " "
                + await NameOf(() => context.Response.SendFileAsync(typeof(Rules).Assembly.Location));
        });
        group.MapGet("/features", (HttpContext context) =>
        {
            var features = context.Features;
            var before = features.Revision;
            features.Set<IHttpUpgradeFeature>(null);
            features[typeof(string)] = "own";
            var text = $"{features.Revision - before} {features.Get<IHttpUpgradeFeature>() is null} {features[typeof(string)]} {features.IsReadOnly} ";
            features[typeof(string)] = null;
            return text + $"{features.Get<string>() is null} {features.Any(one => one.Value is null)} {features.Select(one => one.Key).Distinct().Count() == features.Count()}";
        });
        group.MapGet("/headers", Headers);
        group.MapGet("/trace", (HttpContext context) =>
        {
            var first = context.TraceIdentifier;
            var parts = first.Split(':');
            context.TraceIdentifier = "own";
            return $"{parts.Length} {parts[0] == context.Connection.Id} {parts[0].Length} {parts[1]} {context.TraceIdentifier}";
        });
    }

    private static async Task SendFile(HttpContext context, string what)
    {
        var path = Path.Combine(AppContext.BaseDirectory, "Market.dll");
        var response = context.Response;
        var length = new FileInfo(path).Length;
        s_told[$"send-file-{what}"] = await Refusal(() => what switch
        {
            "missing" => response.SendFileAsync("/nowhere/to/be/found"),
            "negative" => response.SendFileAsync(path, -1, 1),
            "beyond" => response.SendFileAsync(path, length + 1, 0),
            "too-long" => response.SendFileAsync(path, 0, length + 1),
            "cancelled" => response.SendFileAsync(path, 0, null, new CancellationToken(canceled: true)),
            "folder" => response.SendFileAsync(Path.GetTempPath()),
            _ => response.SendFileAsync(path, length, 0),
        });
    }

    private static async Task<string> Headers(HttpContext context)
    {
        var response = context.Response;
        var text = new StringBuilder();
        async Task Try(string name, Action action) => text.Append(name).Append(": ").Append(await NameOf(() =>
        {
            action();
            return Task.CompletedTask;
        })).Append('\n');
        await Try("length of words", () => response.Headers["Content-Length"] = "abc");
        await Try("negative length", () => response.ContentLength = -1);
        await Try("no length", () => response.ContentLength = null);
        await Try("line end", () => response.Headers["X-A"] = "a\r\nb");
        await Try("nul", () => response.Headers["X-A"] = "a\0b");
        await Try("empty name", () => response.Headers[string.Empty] = "a");
        await Try("space in name", () => response.Headers["X A"] = "a");
        await Try("colon in name", () => response.Headers["X:A"] = "a");
        await Try("add twice", () =>
        {
            response.Headers.Add("X-Twice", "1");
            response.Headers.Add("x-twice", "2");
        });
        await Try("append", () => response.Headers.Append("X-Twice", "3"));
        await Try("small status", () => response.StatusCode = 99);
        await Try("large status", () => response.StatusCode = 1000);
        await Try("own status", () => response.StatusCode = 299);
        await Try("copy to", () => response.Headers.CopyTo(new KeyValuePair<string, Microsoft.Extensions.Primitives.StringValues>[0], 0));
        text.Append(string.Create(CultureInfo.InvariantCulture, $"{response.StatusCode} {response.Headers["X-Twice"].Count} {response.Headers.ContainsKey("X-TWICE")}"));
        response.StatusCode = 200;
        return text.ToString();
    }

    private static async Task<string> NameOf(Func<Task> action)
    {
        try
        {
            await action();
            return "fine";
        }
        catch (Exception error)
        {
            return error.GetType().Name;
        }
    }

    private static async Task<string> Refusal(Func<Task> action)
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
}
