// Endpoints below `/-/` that answer in a certain way.

using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Wire;

internal static class Answers
{
    public static RequestDelegate? Find(PathString path) => path.Value switch
    {
        "/unread" => context => context.Response.WriteAsync("unread"),
        "/refuse" => Refuse,
        "/status" => Status,
        "/field" => Field,
        "/reason" => Reason,
        "/flush" => Flush,
        "/length" => Length,
        "/trailers" => Trailers,
        "/chunks" => Chunks,
        "/close" => Close,
        "/upgrade" => Upgrade,
        "/fail" => _ => throw new InvalidOperationException("as asked"),
        _ => null,
    };

    private static Task Refuse(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status413PayloadTooLarge;
        return context.Response.WriteAsync("refused");
    }

    /// <summary>A status, and with `text` an attempt at a body.</summary>
    private static Task Status(HttpContext context)
    {
        context.Response.StatusCode = Number(context, "code");
        var text = context.Request.Query["text"].ToString();
        return text.Length > 0 ? context.Response.WriteAsync(text) : Task.CompletedTask;
    }

    /// <summary>A response field, perhaps a hostile one.</summary>
    private static Task Field(HttpContext context)
    {
        try
        {
            context.Response.Headers.Append(context.Request.Query["name"].ToString(), context.Request.Query["value"]);
        }
        catch (InvalidOperationException)
        {
            return context.Response.WriteAsync("the server refuses this field");
        }

        return context.Response.WriteAsync("set");
    }

    private static Task Reason(HttpContext context)
    {
        try
        {
            context.Features.GetRequiredFeature<IHttpResponseFeature>().ReasonPhrase = context.Request.Query["text"];
        }
        catch (InvalidOperationException)
        {
            return context.Response.WriteAsync("the server refuses this reason");
        }

        return context.Response.WriteAsync("set");
    }

    /// <summary>Two parts, the first of which leaves before the length is known.</summary>
    private static async Task Flush(HttpContext context)
    {
        // More than any server keeps back.
        await context.Response.WriteAsync(new string('x', 300_000));
        await context.Response.Body.FlushAsync();
        await context.Response.WriteAsync("end");
    }

    private static Task Length(HttpContext context)
    {
        context.Response.ContentLength = Number(context, "length");
        return context.Response.WriteAsync(context.Request.Query["text"].ToString());
    }

    /// <summary>An application that frames its own chunks, and perhaps says another length as well.</summary>
    private static Task Chunks(HttpContext context)
    {
        context.Response.Headers.TransferEncoding = "chunked";
        if (context.Request.Query.ContainsKey("length"))
        {
            context.Response.ContentLength = Number(context, "length");
        }

        return context.Response.WriteAsync("3\r\nown\r\n0\r\n\r\n");
    }

    private static Task Close(HttpContext context)
    {
        context.Response.Headers.Connection = "close";
        return context.Response.WriteAsync("last");
    }

    /// <summary>What came behind the body, and what may come behind the answer's.</summary>
    private static async Task Trailers(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"supported: {request.SupportsTrailers()}\n");
        text.Append(CultureInfo.InvariantCulture, $"before: {request.CheckTrailersAvailable()}\n");
        await request.Body.CopyToAsync(Stream.Null);
        text.Append(CultureInfo.InvariantCulture, $"after: {request.CheckTrailersAvailable()}\n");
        text.Append(CultureInfo.InvariantCulture, $"declared: {string.Join(' ', request.GetDeclaredTrailers().ToArray())}\n");
        foreach (var (name, values) in context.Features.GetRequiredFeature<IHttpRequestTrailersFeature>().Trailers)
        {
            foreach (var value in values)
            {
                text.Append(CultureInfo.InvariantCulture, $"trailer {name}: {value}\n");
            }
        }

        text.Append(CultureInfo.InvariantCulture, $"response: {response.SupportsTrailers()}\n");
        await response.WriteAsync(text.ToString());
    }

    /// <summary>Another protocol, which echoes what it gets.</summary>
    private static async Task Upgrade(HttpContext context)
    {
        var feature = context.Features.Get<IHttpUpgradeFeature>();
        if (feature is not { IsUpgradableRequest: true })
        {
            await context.Response.WriteAsync("no upgrade");
            return;
        }

        context.Response.Headers.Upgrade = "echo";
        await using var stream = await feature.UpgradeAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes("hello "));
        var buffer = new byte[1024];
        int count;
        while ((count = await stream.ReadAsync(buffer)) > 0)
        {
            await stream.WriteAsync(buffer.AsMemory(0, count));
            await stream.FlushAsync();
        }
    }

    private static int Number(HttpContext context, string name)
        => int.Parse(context.Request.Query[name].ToString(), CultureInfo.InvariantCulture);
}
