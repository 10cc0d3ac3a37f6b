// What a request was, as the application sees it.

using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

using Microsoft.AspNetCore.Http.Features;

namespace Wire;

internal static class Echo
{
    /// <summary>Bytes of a body that are shown; of a longer one, its length and digest.</summary>
    private const int Shown = 100;

    public static async Task AnswerAsync(HttpContext context, ConcurrentQueue<string> seen)
    {
        var request = context.Request;
        var line = $"{request.Method} {Escape(request.PathBase + request.Path.Value + request.QueryString)}".TrimEnd();
        if (request.Path.StartsWithSegments("/-", out var rest) && Answers.Find(rest) is { } answer)
        {
            seen.Enqueue(line);
            await answer(context);
            return;
        }

        string body;
        try
        {
            body = await ReadAsync(request.Body);
        }
        catch
        {
            seen.Enqueue($"{line} broken");
            throw;
        }

        seen.Enqueue(body.Length == 0 ? line : $"{line} {body}");
        var text = Describe(context, body);
        context.Response.ContentType = "text/plain; charset=utf-8";
        await context.Response.WriteAsync(text);
    }

    private static string Describe(HttpContext context, string body)
    {
        var request = context.Request;
        var target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"method: {request.Method}\n");
        text.Append(CultureInfo.InvariantCulture, $"target: {Escape(target)}\n");
        text.Append(CultureInfo.InvariantCulture, $"base: {Escape(request.PathBase.Value ?? "")}\n");
        text.Append(CultureInfo.InvariantCulture, $"path: {Escape(request.Path.Value ?? "")}\n");
        text.Append(CultureInfo.InvariantCulture, $"query: {Escape(request.QueryString.Value ?? "")}\n");
        text.Append(CultureInfo.InvariantCulture, $"protocol: {request.Protocol}\n");
        text.Append(CultureInfo.InvariantCulture, $"scheme: {request.Scheme}\n");
        text.Append(CultureInfo.InvariantCulture, $"host: {Escape(request.Host.Value ?? "")}\n");
        text.Append(CultureInfo.InvariantCulture, $"remote: {context.Connection.RemoteIpAddress}\n");
        text.Append(CultureInfo.InvariantCulture, $"length: {request.ContentLength}\n");
        foreach (var (name, values) in request.Headers)
        {
            foreach (var value in values)
            {
                text.Append(CultureInfo.InvariantCulture, $"field {Escape(name)}: {Escape(value ?? "")}\n");
            }
        }

        text.Append(CultureInfo.InvariantCulture, $"body: {body}\n");
        return text.ToString();
    }

    private static async Task<string> ReadAsync(Stream stream)
    {
        using var buffer = new MemoryStream();
        await stream.CopyToAsync(buffer);
        var bytes = buffer.ToArray();
        return bytes.Length <= Shown
            ? Escape(Encoding.Latin1.GetString(bytes))
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{bytes.Length} bytes {Convert.ToHexString(SHA256.HashData(bytes))[..16]}");
    }

    /// <summary>As the case files escape: everything but printable ASCII as \xNN or \uNNNN.</summary>
    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (var character in text)
        {
            _ = character switch
            {
                '\r' => escaped.Append("\\r"),
                '\n' => escaped.Append("\\n"),
                >= ' ' and <= '~' => escaped.Append(character),
                <= '\xff' => escaped.Append(CultureInfo.InvariantCulture, $"\\x{(int)character:x2}"),
                _ => escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)character:x4}"),
            };
        }

        return escaped.ToString();
    }
}
