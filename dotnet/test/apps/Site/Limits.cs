// The size limit of request bodies.

using System.Globalization;

using Microsoft.AspNetCore.Http.Features;

namespace Site;

internal static class Limits
{
    private static async Task<string> ReadAll(HttpContext context)
    {
        var buffer = new byte[1024];
        long total = 0;
        try
        {
            int read;
            while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
            {
                total += read;
            }

            return total.ToString(CultureInfo.InvariantCulture);
        }
        catch (BadHttpRequestException exception)
        {
            return string.Create(CultureInfo.InvariantCulture, $"status {exception.StatusCode}");
        }
    }

    /// <summary>What the reader sees is the status, as when nobody catches.</summary>
    public static async Task Read(HttpContext context)
    {
        var buffer = new byte[1024];
        long total = 0;
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer)) > 0)
        {
            total += read;
        }

        await context.Response.WriteAsync(total.ToString(CultureInfo.InvariantCulture));
    }

    public static async Task ReadTwice(HttpContext context)
    {
        var first = await ReadAll(context);
        await context.Response.WriteAsync($"{first}, {await ReadAll(context)}");
    }

    /// <summary>`?limit=` for this request alone; without a value, none.</summary>
    public static async Task ReadWithLimit(HttpContext context)
    {
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        limit.MaxRequestBodySize = long.TryParse(context.Request.Query["limit"], out var value) ? value : null;
        await context.Response.WriteAsync(await ReadAll(context));
    }

    /// <summary>The server closes the connection behind what it would have to read and may not.</summary>
    public static Task AnswerUnread(HttpContext context)
    {
        context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>().MaxRequestBodySize = 1;
        return context.Response.WriteAsync("unread");
    }

    public static async Task SetLimitAfterRead(HttpContext context)
    {
        _ = await context.Request.Body.ReadAsync(new byte[1]);
        var limit = context.Features.GetRequiredFeature<IHttpMaxRequestBodySizeFeature>();
        var thrown = await Outcomes.NameOf(() =>
        {
            limit.MaxRequestBodySize = 1;
            return Task.CompletedTask;
        });
        await context.Response.WriteAsync($"{limit.IsReadOnly} {thrown}");
    }
}
