using System.Globalization;

using Microsoft.Extensions.Primitives;

namespace Market;

/// <summary>Header collections, looked at from all sides.</summary>
internal static class Headers
{
    internal static void Map(WebApplication app)
    {
        var group = app.MapGroup("/headers");
        // Names that a proxy adds are not asked for.
        group.MapGet("/all", (HttpRequest request) => string.Join('\n', request.Headers
            .Where(field => request.Headers["X-Names"].ToString().Contains($",{field.Key.ToLowerInvariant()},"))
            .Select(field => $"{field.Key}: {string.Join('¦', field.Value.ToArray())}")));
        group.MapGet("/missing", (HttpContext context) =>
        {
            var headers = context.Request.Headers;
            _ = headers.TryGetValue("X-Nothing", out var unknown);
            _ = headers.TryGetValue("Accept-Language", out var known);
            var response = context.Response.Headers;
            _ = response.TryGetValue("X-Nothing", out var set);
            return string.Join('\n', new[]
            {
                Of(headers["X-Nothing"]), Of(headers["Accept-Language"]), Of(headers.AcceptLanguage), Of(headers["Content-Length"]),
                Of(headers.ContentLength?.ToString(CultureInfo.InvariantCulture)), Of(unknown), Of(known),
                Of(response["X-Nothing"]), Of(response.Vary), Of(response["Vary"]), Of(response["Content-Length"]), Of(set),
            });
        });
        group.MapGet("/changed", (HttpRequest request) =>
        {
            var headers = request.Headers;
            headers["X-One"] = "changed";
            headers.Accept = StringValues.Empty;
            headers.Append("X-Two", "appended");
            headers["X-Three"] = default(StringValues);
            headers.TryAdd("X-Four", new[] { "a", "b" });
            headers.Remove("X-Five");
            headers["Accept-Language"] = "";
            return string.Join('\n', headers
                .Where(field => field.Key.StartsWith("X-", StringComparison.Ordinal) || field.Key.StartsWith("Accept", StringComparison.Ordinal))
                .Where(field => !field.Key.StartsWith("X-Forwarded", StringComparison.Ordinal) && !field.Key.StartsWith("X-Original", StringComparison.Ordinal))
                .Select(field => $"{field.Key}: {string.Join('¦', field.Value.ToArray())} {field.Value.Count}"));
        });
        group.MapGet("/wrong", (HttpRequest request, HttpResponse response) => string.Join('\n', new[]
        {
            Thrown(() => request.Headers.Add("Accept", "again")),
            Thrown(() => request.Headers[null!] = "x"),
            Thrown(() => request.Headers.ContentLength = -1),
            Thrown(() => response.Headers["X Y"] = "x"),
            Thrown(() => response.Headers["X-Line"] = "a\r\nb"),
            Thrown(() => response.Headers["Content-Length"] = "x"),
            Thrown(() => response.Headers.ContentLength = -1),
            Thrown(() => response.Headers.Add("X-Twice", "1")),
            Thrown(() => response.Headers.Add("x-twice", "2")),
            Thrown(() => response.Headers[""] = "2"),
            Thrown(() => response.StatusCode = 100),
            Thrown(() => response.StatusCode = 999),
            Thrown(() => response.StatusCode = 200),
        }));
    }

    private static string Thrown(Action action)
    {
        try
        {
            action();
            return "nothing";
        }
        catch (Exception error)
        {
            return error.GetType().Name;
        }
    }

    private static string Of(StringValues value)
        => ((string?[]?)value) is { } array ? $"{array.Length} values" : "null";
}
