// Pages that are requested before clients come, and what was requested.

using System.Collections.Concurrent;
using System.Globalization;

namespace Site;

internal static class WarmUps
{
    private static readonly ConcurrentQueue<string> s_requests = new();
    private static int s_asked;

    /// <summary>Notes the request; <c>status=</c> says how it is answered.</summary>
    public static Task WarmUp(HttpContext context)
    {
        var request = context.Request;
        s_requests.Enqueue($"{request.Path}{request.QueryString} {request.Host} {context.Connection.RemoteIpAddress} {request.Headers.UserAgent}");
        if (request.Query.TryGetValue("status", out var status))
        {
            context.Response.StatusCode = int.Parse(status.ToString(), CultureInfo.InvariantCulture);
        }

        return context.Response.WriteAsync("warm");
    }

    /// <summary>The requests so far, a line each.</summary>
    public static Task WarmedUp(HttpContext context)
        => context.Response.WriteAsync(string.Join('\n', s_requests));

    /// <summary>503 so many times, then 204.</summary>
    public static Task ReadyAfter(HttpContext context)
    {
        var times = int.Parse(context.Request.Path.Value!.TrimStart('/'), CultureInfo.InvariantCulture);
        context.Response.StatusCode = Interlocked.Increment(ref s_asked) > times ? 204 : 503;
        return Task.CompletedTask;
    }

    /// <summary>204 so many times, then 503.</summary>
    public static Task WellUntil(HttpContext context)
    {
        var times = int.Parse(context.Request.Path.Value!.TrimStart('/'), CultureInfo.InvariantCulture);
        context.Response.StatusCode = Interlocked.Increment(ref s_asked) > times ? 503 : 204;
        return Task.CompletedTask;
    }

    public static async Task StopAndWait(HttpContext context)
    {
        var lifetime = context.RequestServices.GetRequiredService<IHostApplicationLifetime>();
        lifetime.StopApplication();
        await context.RequestAborted.WhenCanceled();
    }
}
