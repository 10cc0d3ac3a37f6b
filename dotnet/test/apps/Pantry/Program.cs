// Middleware that ordinary applications put together: logging of whole requests, decompression,
// rewriting, forwarded headers, buffering, health checks, files, streams of answers. Each branch
// is small; together they touch most of what a server offers to the framework.

using System.Buffers;
using System.Globalization;
using System.IO.Compression;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;

using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Diagnostics.HealthChecks;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.HttpLogging;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.Rewrite;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.FileProviders;

using Pantry;

var builder = WebApplication.CreateBuilder(args);
var services = builder.Services;
services.AddHttpLogging(options =>
{
    options.LoggingFields = HttpLoggingFields.All;
    options.RequestBodyLogLimit = 64;
    options.ResponseBodyLogLimit = 64;
});
services.AddRequestDecompression();
services.AddResponseCompression(options => options.EnableForHttps = true);
services.AddDirectoryBrowser();
services.AddProblemDetails();
services.AddExceptionHandler<Mishaps>();
services.AddHealthChecks()
    .AddCheck("shelves", () => HealthCheckResult.Healthy("full"))
    .AddCheck("cellar", () => HealthCheckResult.Degraded("damp"), ["slow"]);
services.Configure<ForwardedHeadersOptions>(options =>
{
    options.ForwardedHeaders = ForwardedHeaders.All;
    // What .NET 10 has instead, .NET 8 has not.
#pragma warning disable ASPDEPR005
    options.KnownNetworks.Clear();
#pragma warning restore ASPDEPR005
    options.KnownProxies.Clear();
});

var app = builder.Build();
app.UseExceptionHandler();
app.UseStatusCodePages();

app.Map("/forwarded", branch => branch.UseForwardedHeaders().Run(context =>
    context.Response.WriteAsync($"{context.Request.Scheme} {context.Request.Host} {context.Connection.RemoteIpAddress}")));
app.Map("/override", branch => branch.UseHttpMethodOverride().Run(context =>
    context.Response.WriteAsync(context.Request.Method)));
app.Map("/rewritten", branch => branch
    .UseRewriter(new RewriteOptions()
        .AddRedirect("^old/(.*)$", "new/$1", StatusCodes.Status308PermanentRedirect)
        .AddRewrite("^shelf/([0-9]+)$", "item?shelf=$1", skipRemainingRules: true))
    .Run(context => context.Response.WriteAsync($"{context.Request.PathBase} {context.Request.Path} {context.Request.QueryString}")));
app.Map("/logged", branch => branch.UseHttpLogging().Run(Echo));
app.Map("/unpacked", branch => branch.UseRequestDecompression().Run(Echo));
app.Map("/packed", branch => branch.UseResponseCompression().Run(async context =>
{
    context.Response.ContentType = "text/plain";
    for (var line = 0; line < 50; line++)
    {
        await context.Response.WriteAsync("the same line again and again\n");
        if (context.Request.Query.ContainsKey("flush"))
        {
            await context.Response.Body.FlushAsync();
        }
    }
}));
app.Map("/based", branch => branch.UsePathBase("/inner").Run(context =>
    context.Response.WriteAsync($"{context.Request.PathBase}|{context.Request.Path}")));
app.Map("/replaced", branch => branch.Use(Shouting).Run(Echo));
app.Map("/timed", branch => branch.Use(Timing).Run(Echo));
app.Map("/read-twice", branch => branch.Run(async context =>
{
    context.Request.EnableBuffering(bufferThreshold: 1024);
    var first = await Digest(context.Request.Body);
    context.Request.Body.Position = 0;
    var second = await Digest(context.Request.Body);
    await context.Response.WriteAsync($"{first == second} {first}");
}));
app.Map("/developer", branch => branch.UseDeveloperExceptionPage().Run(_ => throw new InvalidOperationException("the jar is empty")));
app.UseFileServer(new FileServerOptions
{
    RequestPath = "/served",
    FileProvider = new PhysicalFileProvider(Path.Combine(app.Environment.ContentRootPath, "wwwroot")),
    EnableDirectoryBrowsing = true,
});

app.MapHealthChecks("/health");
app.MapHealthChecks("/health/strict", new HealthCheckOptions
{
    ResultStatusCodes = { [HealthStatus.Degraded] = StatusCodes.Status503ServiceUnavailable },
    ResponseWriter = (context, report) => context.Response.WriteAsJsonAsync(
        report.Entries.ToDictionary(entry => entry.Key, entry => entry.Value.Status.ToString())),
});
app.MapGet("/fails", (HttpContext _) => { throw new InvalidDataException("the label is unreadable"); });
app.MapGet("/fails/late", async (HttpContext context) =>
{
    await context.Response.WriteAsync("half of");
    await context.Response.Body.FlushAsync();
    throw new InvalidDataException("the label is unreadable");
});
app.MapGet("/status/{code:int}", (int code) => Results.StatusCode(code));
app.MapGet("/stock", (CancellationToken stop) => Stock(stop));
app.MapGet("/stock/{name}", ([AsParameters] Wanted wanted) => TypedResults.Ok(wanted))
    .AddEndpointFilter(async (context, next) =>
    {
        var result = await next(context);
        context.HttpContext.Response.Headers.Append("X-Filtered", "yes");
        return result;
    });
app.MapPost("/jars", async (IFormFileCollection files, HttpRequest request) =>
{
    var lines = new List<string>();
    foreach (var file in files)
    {
        await using var stream = file.OpenReadStream();
        lines.Add($"{file.Name} {file.FileName} {file.ContentType} {file.Length} {await Digest(stream)}");
    }

    lines.AddRange(request.Form.Where(pair => pair.Key != "").Select(pair => $"{pair.Key}={pair.Value}"));
    return string.Join('\n', lines);
}).DisableAntiforgery();
app.MapGet("/file", () => Results.Stream(new MemoryStream(Encoding.ASCII.GetBytes("0123456789")), "text/plain", "ten.txt", enableRangeProcessing: true));
app.MapGet("/bytes", () => Results.Bytes("abc"u8.ToArray(), "application/octet-stream"));
app.MapPost("/frames", Frames);
app.MapPost("/pipe", async (HttpContext context) =>
{
    // Nobody buffers here: what arrives goes back through the pipes.
    await context.Request.BodyReader.CopyToAsync(context.Response.BodyWriter, context.RequestAborted);
});
app.MapPost("/sized", async (HttpContext context) =>
{
    var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
    limit.MaxRequestBodySize = 10;
    using var reader = new StreamReader(context.Request.Body);
    return await reader.ReadToEndAsync();
});
app.MapGet("/unfinished", (HttpContext context) =>
{
    context.Response.ContentLength = 10;
    return context.Response.WriteAsync("short");
});
app.MapGet("/overfull", (HttpContext context) =>
{
    context.Response.ContentLength = 3;
    return context.Response.WriteAsync("too long");
});
app.MapGet("/callbacks", async (HttpContext context) =>
{
    var order = new StringBuilder();
    context.Response.OnStarting(() => { context.Response.Headers["X-Order"] = order.Append("first-registered").ToString(); return Task.CompletedTask; });
    context.Response.OnStarting(() => { order.Append("last-registered,"); return Task.CompletedTask; });
    await context.Response.StartAsync();
    await context.Response.WriteAsync($"{context.Response.HasStarted}");
    await context.Response.CompleteAsync();
});
app.MapGet("/trailers", (HttpContext context) =>
{
    var can = context.Response.SupportsTrailers();
    return context.Response.WriteAsync(can.ToString());
});
app.MapMethods("/any", ["GET", "PROPFIND", "LOCK"], (HttpContext context) => context.Request.Method);
app.MapFallback((HttpContext context) => Results.NotFound(new { missing = context.Request.Path.Value }));
app.Run();

static async Task Echo(HttpContext context)
{
    context.Response.ContentType = context.Request.ContentType;
    await context.Request.Body.CopyToAsync(context.Response.Body);
}

static async Task<string> Digest(Stream stream) => Convert.ToHexString(await SHA256.HashDataAsync(stream));

// The classic: a middleware that collects the answer to change it.
static async Task Shouting(HttpContext context, RequestDelegate next)
{
    var original = context.Response.Body;
    using var collected = new MemoryStream();
    context.Response.Body = collected;
    try
    {
        await next(context);
    }
    finally
    {
        context.Response.Body = original;
    }

    var text = Encoding.UTF8.GetString(collected.ToArray()).ToUpperInvariant();
    context.Response.ContentLength = Encoding.UTF8.GetByteCount(text);
    await context.Response.WriteAsync(text);
}

static Task Timing(HttpContext context, RequestDelegate next)
{
    context.Response.OnStarting(static state =>
    {
        ((HttpResponse)state).Headers.Append("Server-Timing", "pantry;dur=1");
        return Task.CompletedTask;
    }, context.Response);
    return next(context);
}

static async IAsyncEnumerable<Jar> Stock([EnumeratorCancellation] CancellationToken stop)
{
    for (var number = 1; number <= 3; number++)
    {
        await Task.Delay(1, stop);
        yield return new Jar(number, $"jar {number}");
    }
}

// Length-prefixed messages both ways, with trailers in the last frame, as gRPC-Web does it.
static async Task Frames(HttpContext context)
{
    context.Response.ContentType = "application/grpc-web+proto";
    var reader = context.Request.BodyReader;
    var writer = context.Response.BodyWriter;
    while (true)
    {
        var result = await reader.ReadAsync();
        var buffer = result.Buffer;
        while (TryFrame(ref buffer, out var frame))
        {
            Put(writer, 0, frame.ToArray());
            await writer.FlushAsync();
        }

        reader.AdvanceTo(buffer.Start, buffer.End);
        if (result.IsCompleted)
        {
            break;
        }
    }

    Put(writer, 0x80, "grpc-status: 0\r\n"u8);
    await writer.FlushAsync();
}

static bool TryFrame(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> frame)
{
    var reader = new SequenceReader<byte>(buffer);
    frame = default;
    if (!reader.TryRead(out _) || !reader.TryReadBigEndian(out int length) || reader.Remaining < length)
    {
        return false;
    }

    frame = buffer.Slice(5, length);
    buffer = buffer.Slice(5 + length);
    return true;
}

static void Put(PipeWriter writer, byte flags, ReadOnlySpan<byte> message)
{
    var head = writer.GetSpan(5);
    head[0] = flags;
    System.Buffers.Binary.BinaryPrimitives.WriteInt32BigEndian(head[1..], message.Length);
    writer.Advance(5);
    writer.Write(message);
}

namespace Pantry
{
    internal sealed record Jar(int Number, string Label);

    internal sealed record Wanted(string Name, int Count = 1, string? Note = null);

    internal sealed class Mishaps : IExceptionHandler
    {
        public async ValueTask<bool> TryHandleAsync(HttpContext context, Exception exception, CancellationToken stop)
        {
            if (exception is not InvalidDataException)
            {
                return false;
            }

            context.Response.StatusCode = StatusCodes.Status422UnprocessableEntity;
            await context.Response.WriteAsJsonAsync(new { error = exception.Message }, stop);
            return true;
        }
    }
}
