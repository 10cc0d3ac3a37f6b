// An ordinary ASP.NET Core application. It refers to nothing of ancm and knows nothing about who
// serves it; `/hosting` tells what it can see.

using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;

var builder = WebApplication.CreateBuilder(args);
var app = builder.Build();

const string Index = """
    GET  /plaintext            Hello, World!
    GET  /json                 {"message":"Hello, World!"}
    POST /echo                 the request's body, as it arrives
    GET  /stream?lines=10&ms=100   a line every so often, flushed
    GET  /headers              the request's headers
    GET  /bytes?n=1048576      as many bytes, the same every time
    GET  /slow?ms=1000         waits without a thread
    GET  /block?ms=1000        waits with one
    GET  /throw                an unhandled exception
    GET  /hosting              the process, the server, the connection

    """;

app.MapGet("/", () => Index);
app.MapGet("/plaintext", () => "Hello, World!");
app.MapGet("/json", () => Results.Json(new { message = "Hello, World!" }));

app.MapPost("/echo", async (HttpContext context) =>
{
    var limit = context.Features.Get<IHttpMaxRequestBodySizeFeature>();
    if (limit is { IsReadOnly: false })
    {
        limit.MaxRequestBodySize = null;
    }

    context.Response.ContentType = context.Request.ContentType;
    var aborted = context.RequestAborted;
    while (true)
    {
        var read = await context.Request.BodyReader.ReadAsync(aborted);
        foreach (var segment in read.Buffer)
        {
            await context.Response.Body.WriteAsync(segment, aborted);
        }

        context.Request.BodyReader.AdvanceTo(read.Buffer.End);
        if (read.IsCompleted)
        {
            break;
        }

        // What has come so far goes back before more is waited for.
        await context.Response.Body.FlushAsync(aborted);
    }
});

app.MapGet("/stream", async (HttpContext context, int lines = 10, int ms = 100) =>
{
    context.Response.ContentType = "text/plain";
    for (var line = 1; line <= lines; line++)
    {
        if (line > 1)
        {
            await Task.Delay(ms, context.RequestAborted);
        }

        await context.Response.WriteAsync($"line {line}\n", context.RequestAborted);
        await context.Response.Body.FlushAsync(context.RequestAborted);
    }
});

app.MapGet("/headers", (HttpRequest request) =>
    Results.Json(request.Headers.ToDictionary(header => header.Key, header => header.Value.ToString())));

app.MapGet("/bytes", async (HttpContext context, long n = 1024 * 1024) =>
{
    const string Pattern = "0123456789abcdefghijklmnopqrstuvwxyz";
    var chunk = new byte[64 * 1024];
    context.Response.ContentType = "application/octet-stream";
    context.Response.ContentLength = n;
    for (var sent = 0L; sent < n;)
    {
        // The byte at each position depends on the position alone, whatever the size of a chunk.
        var count = (int)Math.Min(chunk.Length, n - sent);
        for (var index = 0; index < count; index++)
        {
            chunk[index] = (byte)Pattern[(int)((sent + index) % Pattern.Length)];
        }

        await context.Response.Body.WriteAsync(chunk.AsMemory(0, count), context.RequestAborted);
        sent += count;
    }
});

app.MapGet("/slow", async (HttpContext context, int ms = 1000) =>
{
    await Task.Delay(ms, context.RequestAborted);
    return $"waited {ms} ms\n";
});

app.MapGet("/block", (int ms = 1000) =>
{
    Thread.Sleep(ms);
    return $"blocked {ms} ms\n";
});

app.MapGet("/throw", string () => throw new InvalidOperationException("thrown on request"));

app.MapGet("/hosting", (HttpContext context, IServer server, IWebHostEnvironment environment) =>
{
    var request = context.Request;
    var connection = context.Connection;
    return Results.Json(new
    {
        processId = Environment.ProcessId,
        server = server.GetType().FullName,
        environment = environment.EnvironmentName,
        contentRoot = environment.ContentRootPath,
        scheme = request.Scheme,
        host = request.Host.Value,
        pathBase = request.PathBase.Value,
        remoteAddress = connection.RemoteIpAddress is { } address
            ? new System.Net.IPEndPoint(address, connection.RemotePort).ToString()
            : null,
        protocol = request.Protocol,
    });
});

app.Run();
