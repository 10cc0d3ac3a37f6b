// An ordinary application that talks WebSocket and SignalR.

using System.Buffers;
using System.Net.WebSockets;
using System.Text;

using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.SignalR;

using Sockets;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.SetMinimumLevel(LogLevel.Warning);
builder.Services.AddSignalR();
var app = builder.Build();
var ended = new Outcomes();

app.UseWebSockets();
app.MapHub<EchoHub>("/hub");

app.MapGet("/", () => "sockets");
app.MapGet("/ended/{name}", (string name) => ended.Of(name));

// Sends back what comes, message by message, until the client closes.
app.Map("/echo", async (HttpContext context) =>
{
    if (!context.WebSockets.IsWebSocketRequest)
    {
        context.Response.StatusCode = StatusCodes.Status400BadRequest;
        return;
    }

    using var socket = await context.WebSockets.AcceptWebSocketAsync(
        new WebSocketAcceptContext { DangerousEnableCompression = context.Request.Query.ContainsKey("compress") });
    var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
    while (true)
    {
        var received = await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted);
        if (received.MessageType == WebSocketMessageType.Close)
        {
            await socket.CloseAsync(socket.CloseStatus!.Value, socket.CloseStatusDescription, CancellationToken.None);
            return;
        }

        var text = received.MessageType == WebSocketMessageType.Text ? Encoding.UTF8.GetString(buffer, 0, received.Count) : null;
        if (text == "CloseFromServer")
        {
            await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, "as you wish", CancellationToken.None);
            return;
        }

        if (text == "Abort")
        {
            context.Abort();
            return;
        }

        if (text == "AbortAndEcho")
        {
            context.Abort();
        }

        await socket.SendAsync(buffer.AsMemory(0, received.Count), received.MessageType, received.EndOfMessage, CancellationToken.None);
        if (text == "Throw")
        {
            throw new InvalidOperationException("thrown in a WebSocket");
        }
    }
});

// Picks a protocol that the client offers, and adds a header.
app.Map("/chat", async (HttpContext context) =>
{
    context.Response.OnStarting(() =>
    {
        context.Response.Headers["X-Starting"] = $"{context.Response.StatusCode}";
        return Task.CompletedTask;
    });
    using var socket = await context.WebSockets.AcceptWebSocketAsync("chat");
    await socket.SendAsync("chatting"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
    await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
});

// Talks first, without being asked, and much.
app.Map("/push", async (HttpContext context, int count = 1000, int size = 1000) =>
{
    using var socket = await context.WebSockets.AcceptWebSocketAsync();
    var message = new byte[size];
    for (var index = 0; index < count; index++)
    {
        Array.Fill(message, (byte)index);
        await socket.SendAsync(message, WebSocketMessageType.Binary, endOfMessage: true, CancellationToken.None);
    }

    await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, "done", CancellationToken.None);
});

// Notes how it ended.
app.Map("/watched/{name}", async (HttpContext context, string name) =>
{
    using var socket = await context.WebSockets.AcceptWebSocketAsync();
    await socket.SendAsync("ready"u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
    try
    {
        var received = await socket.ReceiveAsync(new byte[100].AsMemory(), CancellationToken.None);
        ended.Note(name, $"received {received.MessageType}");
    }
    catch (WebSocketException error)
    {
        ended.Note(name, $"{error.WebSocketErrorCode} aborted={context.RequestAborted.IsCancellationRequested}");
    }
});

// A protocol of its own: lines, in capitals.
app.MapGet("/upgrade", async (HttpContext context) =>
{
    var feature = context.Features.Get<IHttpUpgradeFeature>()!;
    if (!feature.IsUpgradableRequest)
    {
        return Results.Text("not upgradable");
    }

    context.Response.Headers.Upgrade = "capitals";
    context.Response.Headers.Connection = "Upgrade";
    await using var stream = await feature.UpgradeAsync();
    var again = await Again(feature);
    await stream.WriteAsync(Encoding.ASCII.GetBytes(again + "\n"));
    using var reader = new StreamReader(stream, leaveOpen: true);
    while (await reader.ReadLineAsync() is { } line)
    {
        if (line == "end")
        {
            break;
        }

        await stream.WriteAsync(Encoding.ASCII.GetBytes(line.ToUpperInvariant() + "\n"));
    }

    return Results.Empty;
});

app.Run();

static async Task<string> Again(IHttpUpgradeFeature feature)
{
    try
    {
        await feature.UpgradeAsync();
        return "twice";
    }
    catch (InvalidOperationException error)
    {
        return error.GetType().Name;
    }
}

namespace Sockets
{
    internal sealed class Outcomes
    {
        private readonly System.Collections.Concurrent.ConcurrentDictionary<string, string> _all = new();

        internal void Note(string name, string text) => _all[name] = text;

        internal string Of(string name) => _all.TryGetValue(name, out var text) ? text : "not yet";
    }

    /// <summary>Answers its callers.</summary>
    public sealed class EchoHub : Hub
    {
        public string Echo(string text) => text;

        public Task ToAll(string text) => Clients.All.SendAsync("said", text);

        public async IAsyncEnumerable<int> Count(int to)
        {
            for (var number = 1; number <= to; number++)
            {
                await Task.Yield();
                yield return number;
            }
        }

        public string Transport() => Context.Features.Get<Microsoft.AspNetCore.Http.Connections.Features.IHttpTransportFeature>()!.TransportType.ToString();
    }
}
