using Microsoft.AspNetCore.Http.Features;

namespace Market;

/// <summary>Requests that are measured in other ways than most, and what was measured.</summary>
internal static class Measures
{
    internal static void Map(WebApplication app)
    {
        app.MapGet("/observed", (Observer observer, string of) => observer.Of(of));
        app.MapGet("/observed/active", (Observer observer) => observer.Active);

        var group = app.MapGroup("/measured");
        group.MapGet("/tagged", (HttpContext context) =>
        {
            var tags = context.Features.GetRequiredFeature<IHttpMetricsTagsFeature>().Tags;
            tags.Add(new("fruit", "plum"));
            return $"{tags.Count} tags";
        });
        var silent = group.MapGet("/silent", () => "not measured");
#if NET9_0_OR_GREATER
        silent.DisableHttpMetrics();
#else
        silent.WithName("measured all the same");
#endif
        group.Map("/anything/{**rest}", (HttpContext context) => context.Request.Method);
        group.MapPost("/limited", async (HttpContext context) =>
        {
            context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = 5;
            await context.Request.Body.CopyToAsync(Stream.Null);
        });
        group.MapGet("/late", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("begun");
            await context.Response.Body.FlushAsync();
            throw new InvalidOperationException("after the start of the response");
        });
        group.MapGet("/left", async (HttpContext context) =>
        {
            await context.Response.WriteAsync("waiting");
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        });
        group.MapGet("/left-before", (HttpContext context)
            => Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(static _ => { }, TaskScheduler.Default));
        group.MapGet("/upgraded", async (HttpContext context) =>
        {
            await using var stream = await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync();
            await stream.CopyToAsync(stream);
        });
    }
}
