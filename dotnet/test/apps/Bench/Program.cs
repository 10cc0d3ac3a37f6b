// An ordinary minimal API application whose answers cost little, so that what is measured is the
// server. It refers to nothing of ancm; BENCH_INLINE makes Kestrel as quick as its options allow.

using System.Globalization;
using System.Net.WebSockets;

using Microsoft.AspNetCore.Mvc;

var builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders();
builder.Logging.SetMinimumLevel(LogLevel.Warning);
if (Environment.GetEnvironmentVariable("BENCH_INLINE") == "1")
{
    builder.WebHost.UseSockets(options => options.UnsafePreferInlineScheduling = true);
}

builder.Services.AddControllers();

var app = builder.Build();
var plaintext = "Hello, World!"u8.ToArray();
var pattern = new byte[64 * 1024];
for (var index = 0; index < pattern.Length; index++)
{
    pattern[index] = (byte)('a' + (index % 26));
}

// Before routing: the least that an application can do.
app.Use((context, next) =>
{
    if (!context.Request.Path.Equals("/plaintext"))
    {
        return next(context);
    }

    var response = context.Response;
    response.ContentType = "text/plain";
    response.ContentLength = plaintext.Length;
    return response.Body.WriteAsync(plaintext, 0, plaintext.Length);
});

app.UseWebSockets();
app.UseRouting();

app.MapGet("/json", (HttpContext context) =>
    context.Response.WriteAsJsonAsync(new Message("Hello, World!")));

app.MapGet("/api/{id:int}", (int id) => new Item(id, $"item {id.ToString(CultureInfo.InvariantCulture)}"));

app.MapPost("/echo", async (HttpContext context) =>
{
    var request = context.Request;
    context.Response.ContentType = request.ContentType;
    context.Response.ContentLength = request.ContentLength;
    await request.Body.CopyToAsync(context.Response.Body);
});

app.MapPost("/upload", async (HttpContext context) =>
{
    var buffer = new byte[pattern.Length];
    var total = 0L;
    for (int count; (count = await context.Request.Body.ReadAsync(buffer)) > 0;)
    {
        total += count;
    }

    return total;
});

app.MapControllers();

app.MapGet("/bytes", (HttpContext context, int n) => WriteAsync(context, n, hasLength: true));

app.MapGet("/chunked", (HttpContext context, int n) => WriteAsync(context, n, hasLength: false));

app.MapGet("/ws", async (HttpContext context) =>
{
    using var socket = await context.WebSockets.AcceptWebSocketAsync();
    var buffer = new byte[4096];
    while (true)
    {
        var received = await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted);
        if (received.MessageType == WebSocketMessageType.Close)
        {
            break;
        }

        await socket.SendAsync(buffer.AsMemory(0, received.Count), received.MessageType, received.EndOfMessage, context.RequestAborted);
    }
});

app.MapGet("/block", (int ms) =>
{
    Thread.Sleep(ms);
    return Results.Ok();
});

app.Run();

async Task WriteAsync(HttpContext context, int count, bool hasLength)
{
    context.Response.ContentType = "application/octet-stream";
    context.Response.ContentLength = hasLength ? count : null;
    for (var sent = 0; sent < count;)
    {
        var length = Math.Min(pattern.Length, count - sent);
        await context.Response.Body.WriteAsync(pattern.AsMemory(0, length));
        sent += length;
    }
}

[ApiController]
[Route("mvc")]
public sealed class MvcController : ControllerBase
{
    [HttpGet("{id:int}")]
    public ActionResult<Item> Get(int id) => new Item(id, $"item {id.ToString(CultureInfo.InvariantCulture)}");
}

internal sealed record Message(string Text);

public sealed record Item(int Id, string Name);
