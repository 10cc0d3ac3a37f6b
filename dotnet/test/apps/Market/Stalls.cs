using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;

namespace Market;

/// <summary>Endpoints with all that may be bound and returned.</summary>
internal static class Stalls
{
    private static readonly byte[] s_ledger = Encoding.ASCII.GetBytes(string.Join('\n', Enumerable.Range(0, 2000)));

    internal static void Map(WebApplication app)
    {
        MapBound(app.MapGroup("/bound"));
        MapForms(app.MapGroup("/forms").DisableAntiforgery());
        MapResults(app.MapGroup("/results"));
        MapStreams(app.MapGroup("/streams"));
        MapMishaps(app);
        MapCookies(app.MapGroup("/cookies"));
    }

    private static void MapBound(RouteGroupBuilder group)
    {
        group.AddEndpointFilter(async (context, next) =>
        {
            context.HttpContext.Response.Headers["X-Filter"] = context.Arguments.Count.ToString(CultureInfo.InvariantCulture);
            return await next(context);
        });
        group.MapGet("/item/{id:int:min(1)}", (int id) => new Item(id, "apple"));
        group.MapGet("/query", (int[] number, string? name, bool loud = false) => $"{string.Join('+', number)} {name ?? "none"} {loud}");
        group.MapGet("/header", ([FromHeader(Name = "X-Many")] string[] many) => string.Join('|', many));
        group.MapGet("/parameters", ([AsParameters] Order order) => order.ToString());
        group.MapGet("/parsed/{point}", (Point point) => $"{point.X},{point.Y}");
        group.MapPost("/json", (Item item) => TypedResults.Created($"/bound/item/{item.Id}", item));
        group.MapPost("/stream", async (Stream body) => $"{await Length(body)} bytes");
        group.MapPost("/pipe", async (PipeReader reader) =>
        {
            var read = await reader.ReadAtLeastAsync(4);
            var text = Encoding.ASCII.GetString(read.Buffer.Slice(0, Math.Min(4, read.Buffer.Length)));
            reader.AdvanceTo(read.Buffer.GetPosition(Math.Min(4, read.Buffer.Length)));
            return text;
        });
        group.MapGet("/short", () => "cut").ShortCircuit();
        group.MapMethods("/any", ["GET", "HEAD", "OPTIONS", "PURGE"], (HttpRequest request) => $"by {request.Method}");
    }

    private static void MapForms(RouteGroupBuilder group)
    {
        group.MapPost("/fields", ([FromForm] string name, [FromForm] int[] count) => $"{name} {string.Join('+', count)}");
        group.MapPost("/file", async (IFormFile file) => $"{file.FileName} {file.ContentType} {file.Length} {await Text(file)}");
        group.MapPost("/files", (IFormFileCollection files) => string.Join('|', files.Select(file => $"{file.Name}={file.FileName}:{file.Length}")));
        group.MapPost("/checked", ([FromForm] string name) => name.Length > 3
            ? Results.Text(name)
            : Results.ValidationProblem(new Dictionary<string, string[]> { ["name"] = ["too short"] }));
        group.MapPost("/limited", async (HttpContext context) =>
        {
            context.Features.Set<IFormFeature>(new FormFeature(context.Request, new FormOptions { ValueCountLimit = 2 }));
            var form = await context.Request.ReadFormAsync();
            return string.Join(',', form.Keys);
        });
    }

    private static void MapResults(RouteGroupBuilder group)
    {
        var changed = new DateTimeOffset(2024, 2, 29, 12, 0, 0, TimeSpan.Zero);
        var tag = new EntityTagHeaderValue("\"ledger\"");
        group.MapGet("/ledger", () => Results.File(s_ledger, "text/plain", null, true, changed, tag));
        group.MapGet("/download", () => Results.File(s_ledger, "text/plain", "Bücher 1.txt"));
        group.MapGet("/stream", () => Results.Stream(new MemoryStream(s_ledger), "text/plain", enableRangeProcessing: true));
        group.MapGet("/writer", () => Results.Stream(async stream =>
        {
            foreach (var part in s_ledger.Chunk(1000))
            {
                await stream.WriteAsync(part);
            }
        }));
        group.MapGet("/encoded", () => Results.Text("größer", "text/plain", Encoding.Latin1));
        group.MapGet("/none", () => Results.NoContent());
        group.MapGet("/reset", () => Results.StatusCode(StatusCodes.Status205ResetContent));
        group.MapGet("/accepted", () => Results.Accepted("/results/later", new { state = "waiting" }));
        group.MapGet("/conflict", () => Results.Conflict(new { reason = "twice" }));
        group.MapGet("/problem", () => Results.Problem("it broke", "/results/problem", 507, "Broken", "urn:broken"));
        group.MapGet("/moved", () => Results.RedirectToRoute("there", new { place = "a b" }));
        group.MapGet("/there/{place}", (string place) => place).WithName("there");
        group.MapGet("/local", () => Results.LocalRedirect("~/results/none", permanent: true, preserveMethod: true));
        group.MapGet("/null", () => (Item?)null);
        group.MapGet("/object", () => Results.Json(new { a = 1, b = "<é>" }, new JsonSerializerOptions { WriteIndented = true }));
        group.MapGet("/either/{number}", Either<int>);

        static IResult Either<T>(T number)
            where T : struct
            => number is 0 ? (IResult)TypedResults.NotFound() : TypedResults.Ok(number);
    }

    private static void MapStreams(RouteGroupBuilder group)
    {
        group.MapGet("/numbers", () => Numbers());
        group.MapGet("/events", async (HttpContext context) =>
        {
            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-store";
            await foreach (var number in Numbers(context.RequestAborted))
            {
                await context.Response.WriteAsync($"event: tick\ndata: {number}\n\n");
                await context.Response.Body.FlushAsync();
            }
        });
        group.MapPost("/upper", async (HttpContext context) =>
        {
            context.Response.ContentType = "text/plain";
            using var reader = new StreamReader(context.Request.Body);
            while (await reader.ReadLineAsync() is { } line)
            {
                await context.Response.WriteAsync(line.ToUpperInvariant() + "\n");
            }
        });
        group.MapPost("/twice", async (HttpContext context) =>
        {
            context.Request.EnableBuffering(bufferThreshold: 16);
            var first = await Length(context.Request.Body);
            context.Request.Body.Position = 0;
            return $"{first} {await Length(context.Request.Body)}";
        });
        group.MapGet("/started", async (HttpContext context) =>
        {
            context.Response.Headers["X-Before"] = "1";
            await context.Response.StartAsync();
            try
            {
                context.Response.Headers["X-After"] = "1";
            }
            catch (InvalidOperationException)
            {
                await context.Response.WriteAsync("too late");
            }
        });
        group.MapGet("/disposed", (HttpContext context) =>
        {
            context.Response.RegisterForDispose(new MemoryStream());
            context.Response.OnStarting(() =>
            {
                context.Response.Headers["X-Starting"] = context.Response.StatusCode.ToString(CultureInfo.InvariantCulture);
                return Task.CompletedTask;
            });
            return Results.StatusCode(StatusCodes.Status202Accepted);
        });
    }

    private static void MapMishaps(WebApplication app)
    {
        app.MapGet("/throws/{kind}", (string kind) =>
        {
            throw kind switch
            {
                "bad" => new BadHttpRequestException("bad on purpose", StatusCodes.Status422UnprocessableEntity),
                "gone" => new OperationCanceledException("nobody cancelled"),
                "io" => new IOException("nothing was read"),
                _ => new InvalidOperationException("on purpose"),
            };
        });
        app.Map("/oops", (HttpContext context) =>
        {
            var error = context.Features.Get<Microsoft.AspNetCore.Diagnostics.IExceptionHandlerPathFeature>();
            return Results.Text($"{error?.Path}: {error?.Error.Message}");
        });
        app.Map("/coded/{code:int}", (HttpContext context, int code) => Results.Text($"page {code} for {context.Request.Method}", statusCode: code));
        app.MapGet("/code/{code:int}", (int code) => Results.StatusCode(code));
    }

    private static void MapCookies(RouteGroupBuilder group)
    {
        group.MapGet("/set", (HttpContext context) =>
        {
            context.Response.Cookies.Append("essential", "a b;c", new CookieOptions { IsEssential = true, MaxAge = TimeSpan.FromHours(1) });
            context.Response.Cookies.Append("optional", "x", new CookieOptions { Path = "/cookies" });
            context.Response.Cookies.Delete("old");
            return context.Features.Get<ITrackingConsentFeature>()!.CanTrack;
        });
        group.MapGet("/consent", (HttpContext context) =>
        {
            var consent = context.Features.Get<ITrackingConsentFeature>()!;
            consent.GrantConsent();
            context.Response.Cookies.Append("optional", "x");
            return consent.CanTrack;
        });
        group.MapGet("/read", (HttpContext context) => string.Join('|', context.Request.Cookies.Select(cookie => $"{cookie.Key}={cookie.Value}")));
    }

    private static async IAsyncEnumerable<int> Numbers([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        for (var number = 0; number < 20; number++)
        {
            await Task.Yield();
            cancellationToken.ThrowIfCancellationRequested();
            yield return number;
        }
    }

    private static async Task<long> Length(Stream body)
    {
        var counted = new byte[777];
        var length = 0L;
        while (await body.ReadAsync(counted) is > 0 and var read)
        {
            length += read;
        }

        return length;
    }

    private static async Task<string> Text(IFormFile file)
    {
        using var reader = new StreamReader(file.OpenReadStream());
        return await reader.ReadToEndAsync();
    }

    public sealed record Item(int Id, [property: Required] string Name);

    internal sealed record Order(int Count, [FromQuery(Name = "of")] string Article, HttpRequest Request, CancellationToken Token)
    {
        public override string ToString() => $"{Count} {Article} {Request.Method} {Token.CanBeCanceled}";
    }

    internal sealed record Point(int X, int Y)
    {
        public static bool TryParse(string? text, IFormatProvider? format, out Point? point)
        {
            var parts = (text ?? string.Empty).Split(',');
            point = null;
            if (parts.Length == 2 && int.TryParse(parts[0], format, out var x) && int.TryParse(parts[1], format, out var y))
            {
                point = new Point(x, y);
            }

            return point is not null;
        }
    }
}
