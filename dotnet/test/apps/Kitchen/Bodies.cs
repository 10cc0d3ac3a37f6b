using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Kitchen;

/// <summary>Request bodies in every form.</summary>
internal static class Bodies
{
    internal static void MapBodies(this WebApplication app)
    {
        app.MapPost("/form", async (HttpRequest request) =>
        {
            var form = await request.ReadFormAsync();
            return string.Join('|', form.OrderBy(field => field.Key).Select(field => $"{field.Key}={field.Value}"));
        });
        app.MapPost("/upload", async (HttpRequest request) =>
        {
            var form = await request.ReadFormAsync();
            var text = new StringBuilder();
            foreach (var (name, value) in form)
            {
                text.Append($"{name}={value}\n");
            }

            foreach (var file in form.Files)
            {
                await using var content = file.OpenReadStream();
                var hash = Convert.ToHexString(await SHA256.HashDataAsync(content));
                text.Append($"{file.Name} {file.FileName} {file.ContentType} {file.Length} {hash}\n");
            }

            return text.ToString();
        });
        app.MapPost("/bind-file", (IFormFile file) => $"{file.FileName} {file.Length}").DisableAntiforgery();
        app.MapPost("/json", (Dictionary<string, int> numbers) => numbers.Values.Sum());
        app.MapPost("/echo", async (HttpContext context) =>
        {
            context.Response.ContentType = context.Request.ContentType;
            await context.Request.Body.CopyToAsync(context.Response.Body);
        });
        app.MapPost("/echo-pipe", (HttpContext context) => context.Request.BodyReader.CopyToAsync(context.Response.BodyWriter));
        app.MapPost("/lines", Lines);
        app.MapPost("/hash", async (HttpContext context) =>
        {
            context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = null;
            return Convert.ToHexString(await SHA256.HashDataAsync(context.Request.Body, context.RequestAborted));
        });
        app.MapPost("/buffered", async (HttpContext context) =>
        {
            context.Request.EnableBuffering(bufferThreshold: 1024);
            var first = await new StreamReader(context.Request.Body, leaveOpen: true).ReadToEndAsync();
            context.Request.Body.Position = 0;
            var second = await new StreamReader(context.Request.Body, leaveOpen: true).ReadToEndAsync();
            return $"{first.Length} {first == second}";
        });
        app.MapPost("/sync-read", (HttpContext context) => Refused(() => context.Request.Body.Read(new byte[1], 0, 1)));
        app.MapPost("/sync-allowed", (HttpContext context) =>
        {
            context.Features.Get<IHttpBodyControlFeature>()!.AllowSynchronousIO = true;
            return new StreamReader(context.Request.Body).ReadToEnd();
        });
        app.MapPost("/limit", async (HttpContext context, long limit) =>
        {
            context.Features.Get<IHttpMaxRequestBodySizeFeature>()!.MaxRequestBodySize = limit;
            await context.Request.Body.CopyToAsync(Stream.Null);
            return "within";
        });
        app.MapPost("/limit-late", async (HttpContext context) =>
        {
            var feature = context.Features.Get<IHttpMaxRequestBodySizeFeature>()!;
            _ = await context.Request.Body.ReadAsync(new byte[1]);
            var isReadOnly = feature.IsReadOnly;
            return $"{isReadOnly} {Refused(() => feature.MaxRequestBodySize = 1)}";
        });
        app.MapPost("/partly", async (HttpContext context) =>
        {
            var first = new byte[5];
            await context.Request.Body.ReadExactlyAsync(first);
            return Encoding.ASCII.GetString(first);
        });
        app.MapPost("/unread", () => "not looked at");
        app.MapPost("/late", async (HttpContext context) =>
        {
            await context.Response.StartAsync();
            var text = await new StreamReader(context.Request.Body).ReadToEndAsync();
            await context.Response.WriteAsync(text);
        });
        app.MapPost("/trailers", async (HttpContext context) =>
        {
            var before = context.Request.SupportsTrailers() && context.Request.CheckTrailersAvailable();
            await context.Request.Body.CopyToAsync(Stream.Null);
            var value = context.Request.CheckTrailersAvailable() ? context.Request.GetTrailer("X-Sum").ToString() : "none";
            return $"{context.Request.GetDeclaredTrailers()} {before} {value}";
        });
        app.MapMethods("/can-have-body", ["GET", "POST", "PUT"], (HttpContext context) =>
            $"{context.Features.Get<IHttpRequestBodyDetectionFeature>()!.CanHaveBody} {context.Request.ContentLength}");
        app.MapPost("/examined", async (HttpContext context) =>
        {
            // Consumes nothing until everything is there.
            while (true)
            {
                var read = await context.Request.BodyReader.ReadAsync();
                if (read.IsCompleted)
                {
                    var length = read.Buffer.Length;
                    context.Request.BodyReader.AdvanceTo(read.Buffer.End);
                    return $"{length}";
                }

                context.Request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        });
        app.MapPost("/at-least", async (HttpContext context) =>
        {
            var read = await context.Request.BodyReader.ReadAtLeastAsync(1000);
            var enough = read.Buffer.Length >= 1000 || read.IsCompleted;
            context.Request.BodyReader.AdvanceTo(read.Buffer.End);
            await context.Request.BodyReader.CopyToAsync(Stream.Null);
            return $"{enough}";
        });
        app.MapPost("/as-stream", async (HttpContext context) =>
        {
            using var reader = new StreamReader(context.Request.BodyReader.AsStream());
            return await reader.ReadToEndAsync();
        });
        app.MapPost("/wrapped", async (HttpContext context) =>
        {
            context.Request.Body = new MemoryStream("instead"u8.ToArray());
            var read = await context.Request.BodyReader.ReadAsync();
            return Encoding.ASCII.GetString(read.Buffer.ToArray());
        });
    }

    internal static string Refused(Action action)
    {
        try
        {
            action();
            return "allowed";
        }
        catch (Exception error)
        {
            return $"{error.GetType().Name}: {error.Message}";
        }
    }

    /// <summary>Answers each line before the next is asked for.</summary>
    private static async Task Lines(HttpContext context)
    {
        var reader = context.Request.BodyReader;
        while (true)
        {
            var read = await reader.ReadAsync();
            var buffer = read.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = Encoding.UTF8.GetString(buffer.Slice(0, end));
                await context.Response.WriteAsync($"<{line}>\n");
                await context.Response.Body.FlushAsync();
                buffer = buffer.Slice(buffer.GetPosition(1, end));
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }
}
