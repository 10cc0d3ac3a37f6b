using System.Diagnostics;
using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Extensions;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Kitchen;

/// <summary>What a request sees of its surroundings, and what must not stay behind for the next.</summary>
internal static class Contexts
{
    private static readonly AsyncLocal<string?> s_local = new();
    private static readonly List<Memory<byte>> s_kept = [];

    [ThreadStatic]
    private static string? s_onThread;

    internal static void MapContexts(this WebApplication app)
    {
        app.MapGet("/request", (HttpRequest request) => new
        {
            request.Method,
            request.Scheme,
            host = request.Host.Value,
            pathBase = request.PathBase.Value,
            path = request.Path.Value,
            query = request.QueryString.Value,
            request.Protocol,
            url = request.GetEncodedUrl(),
            target = request.HttpContext.Features.Get<IHttpRequestFeature>()!.RawTarget,
        });
        app.MapGet("/path/{**rest}", (HttpRequest request, string? rest) => new
        {
            path = request.Path.Value,
            rest,
            query = request.Query.ToDictionary(field => field.Key, field => field.Value.ToString()),
            target = request.HttpContext.Features.Get<IHttpRequestFeature>()!.RawTarget,
        });
        app.MapGet("/headers", (HttpRequest request) => request.Headers
            .Where(header => header.Key.StartsWith("X-", StringComparison.OrdinalIgnoreCase) || header.Key is "Accept" or "Cookie" or "Via")
            .Where(header => !header.Key.StartsWith("X-Forwarded", StringComparison.Ordinal) && !header.Key.StartsWith("X-Original", StringComparison.Ordinal))
            .OrderBy(header => header.Key, StringComparer.OrdinalIgnoreCase)
            .ToDictionary(header => header.Key.ToLowerInvariant(), header => header.Value.ToArray()));
        app.MapGet("/leave-behind", (HttpContext context) =>
        {
            s_local.Value = "left";
            context.Items["left"] = "left";
            context.Features.Set(new Left());
            context.User = new(new System.Security.Claims.ClaimsIdentity("left"));
            CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = ";" } };
            Activity.Current?.AddBaggage("left", "left");
            context.TraceIdentifier = "left";
            context.Request.Headers["X-Left"] = "left";
            context.Connection.RemotePort = 1;
            return "left";
        });
        app.MapGet("/leave-behind-middleware", () => "left");
        app.MapGet("/found", (HttpContext context) => string.Join(' ',
            s_local.Value ?? "none",
            context.Items.Count,
            context.Features.Get<Left>() is null,
            context.User.Identity?.IsAuthenticated,
            1.5.ToString(CultureInfo.CurrentCulture),
            Activity.Current?.Baggage.Count() ?? 0,
            context.TraceIdentifier == "left",
            context.Request.Headers.ContainsKey("X-Left"),
            context.Connection.RemotePort == 1,
            context.GetEndpoint()?.DisplayName,
            context.Request.RouteValues.Count));
        app.MapGet("/accessor", async (HttpContext context, IHttpContextAccessor accessor) =>
        {
            var before = accessor.HttpContext == context;
            await Task.Yield();
            var after = accessor.HttpContext == context;
            var elsewhere = await Task.Run(() => accessor.HttpContext == context);
            return $"{before} {after} {elsewhere}";
        });
        app.MapGet("/late", async (HttpContext context) =>
        {
            // Somebody keeps the context and uses it when the response is over.
            var body = context.Response.Body;
            var writer = context.Response.BodyWriter;
            var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            context.Response.OnCompleted(() =>
            {
                ended.SetResult();
                return Task.CompletedTask;
            });
            await context.Response.WriteAsync("early");
            _ = Task.Run(async () =>
            {
                await ended.Task;
                for (var attempt = 0; attempt < 200; attempt++)
                {
                    await Task.Yield();
                    try
                    {
                        await body.WriteAsync("STRAY"u8.ToArray());
                    }
                    catch (Exception)
                    {
                        // Refusing is right, too.
                    }

                    try
                    {
                        await writer.WriteAsync("STRAY"u8.ToArray());
                    }
                    catch (Exception)
                    {
                        // As above.
                    }
                }
            });
        });
        app.MapGet("/keeps", async (HttpContext context) =>
        {
            // Memory that is kept after it was advanced over: of the response's start, and beyond.
            var writer = context.Response.BodyWriter;
            s_kept.Clear();
            s_kept.Add(writer.GetMemory(10));
            writer.Advance(0);
            await context.Response.StartAsync();
            for (var part = 0; part < 3; part++)
            {
                var memory = writer.GetMemory(20_000);
                s_kept.Add(memory);
                memory.Span[..20_000].Fill((byte)'k');
                writer.Advance(20_000);
                await writer.FlushAsync();
            }
        });
        app.MapGet("/uses", () =>
        {
            var written = s_kept.Count(memory =>
            {
                try
                {
                    memory.Span.Fill((byte)'!');
                    return true;
                }
                catch (ObjectDisposedException)
                {
                    return false;
                }
            });
            return $"{written} of {s_kept.Count} written";
        });
        app.MapGet("/activity", () =>
        {
            var activity = Activity.Current;
            return $"{activity?.TraceId} {activity?.ParentSpanId} {activity?.TraceStateString} {activity?.OperationName}";
        });
        app.MapGet("/scope", (ILoggerFactory loggers, HttpContext context) =>
        {
            var logger = loggers.CreateLogger("Kitchen");
            using (logger.BeginScope("scope of {Trace}", context.TraceIdentifier))
            {
                logger.LogWarning("within a scope");
            }

            return "logged";
        });
        app.MapGet("/culture", async (string? name) =>
        {
            // Invariant mode knows one culture; its number format can be changed all the same.
            CultureInfo.CurrentCulture = new CultureInfo("") { NumberFormat = { NumberDecimalSeparator = name ?? "," } };
            await Task.Yield();
            return 1.5.ToString(CultureInfo.CurrentCulture);
        });
        app.MapGet("/features", (HttpContext context) =>
        {
            var text = new StringBuilder();
            void Say<T>(string name) => text.Append($"{name} {context.Features.Get<T>() is not null}\n");
            Say<IHttpRequestFeature>("request");
            Say<IHttpRequestBodyDetectionFeature>("body detection");
            Say<IRequestBodyPipeFeature>("body pipe");
            Say<IHttpRequestIdentifierFeature>("identifier");
            Say<IHttpRequestLifetimeFeature>("lifetime");
            Say<IHttpRequestTrailersFeature>("request trailers");
            Say<IHttpMaxRequestBodySizeFeature>("max body");
            Say<IBadRequestExceptionFeature>("bad request");
            Say<IHttpUpgradeFeature>("upgrade");
            Say<IHttpBodyControlFeature>("body control");
            Say<IEndpointFeature>("endpoint");
            Say<IRouteValuesFeature>("route values");
            Say<IPersistentStateFeature>("persistent state");
            Say<IHttpActivityFeature>("activity");
            Say<IHttpResponseFeature>("response");
            Say<IHttpResponseBodyFeature>("response body");
            Say<IHttpResponseTrailersFeature>("response trailers");
            Say<IHttpResetFeature>("reset");
            Say<IHttpConnectionFeature>("connection");
            Say<ITlsConnectionFeature>("tls");
            Say<IConnectionLifetimeNotificationFeature>("lifetime notification");
            Say<IConnectionIdFeature>("connection id");
            Say<IConnectionItemsFeature>("connection items");
            Say<IConnectionLifetimeFeature>("connection lifetime");
            Say<IMemoryPoolFeature>("memory pool");
            var body = context.Features.Get<IHttpMinRequestBodyDataRateFeature>()?.MinDataRate;
            var answer = context.Features.Get<IHttpMinResponseDataRateFeature>()?.MinDataRate;
            text.Append($"rates {body?.BytesPerSecond} {body?.GracePeriod}, {answer?.BytesPerSecond} {answer?.GracePeriod}\n");
            return text.ToString();
        });
        app.MapGet("/persistent", (HttpContext context) => Count(context));
        app.MapGet("/persistent/elsewhere", async (HttpContext context) =>
        {
            await Task.Yield();
            return Count(context);
        });
        app.MapGet("/persistent/behind", async (HttpContext context) =>
        {
            context.Response.OnCompleted(() => Task.Delay(20));
            await context.Response.WriteAsync(Count(context));
        });
        app.MapGet("/persistent/early", async (HttpContext context) =>
        {
            await context.Response.WriteAsync(Count(context));
            await context.Response.CompleteAsync();
            await Task.Delay(20);
        });
        app.MapGet("/connection", (HttpContext context) =>
        {
            var connection = context.Connection;
            return $"{connection.Id.Length > 0} {connection.RemoteIpAddress} {connection.LocalIpAddress} {connection.RemotePort > 0} {connection.LocalPort > 0} {connection.ClientCertificate is null}";
        });
        app.MapGet("/thread-static", () =>
        {
            var before = s_onThread;
            s_onThread = null;
            return before ?? "none";
        });
    }

    private static string Count(HttpContext context)
    {
        var state = context.Features.Get<IPersistentStateFeature>()!.State;
        var count = state.TryGetValue("count", out var value) ? (int)value! + 1 : 1;
        state["count"] = count;
        return $"{count}";
    }

    private sealed class Left;
}
