using System.Text;

using Microsoft.Extensions.Primitives;

using static Market.Bare;

namespace Market;

/// <summary>The collections of a request, as the dictionaries that they are.</summary>
internal static class BareCollections
{
    /// <summary>Request or response headers.</summary>
    internal static Task Headers(HttpContext context, string how, Action<string> tell)
    {
        var headers = how == "request" ? context.Request.Headers : context.Response.Headers;
        IDictionary<string, StringValues> map = headers;
        ICollection<KeyValuePair<string, StringValues>> pairs = headers;
        var text = new StringBuilder();
        void Note(string what, Func<object?> action) => text.Append(what).Append(": ").Append(Result(action)).Append('\n');
        map.Clear();
        Note("count", () => headers.Count);
        Note("read-only", () => headers.IsReadOnly);
        foreach (var name in new[] { "x-custom", "host", "Content-Length" })
        {
            Note($"{name} missing", () => map[name]);
            Note($"{name} empty", () => Kind(headers[name]));
            Note($"{name} found", () => $"{map.TryGetValue(name, out var none)} {Kind(none)}");
            Note($"{name} removed", () => $"{map.Remove(name)} {map.ContainsKey(name)}");
        }

        foreach (var (name, value) in new[] { ("x-custom", "value"), ("host", "localhost"), ("content-length", "0") })
        {
            Note($"{name} added", () => { map.Add(name, value); return map[name]; });
            Note($"{name} added twice", () => { map.Add(name, value); return "fine"; });
            Note($"{name} contained", () => $"{pairs.Contains(new(name, value))} {pairs.Contains(new(name, "other"))}");
            Note($"{name} removed as another", () => pairs.Remove(new KeyValuePair<string, StringValues>(name, "other")));
        }

        Note("keys", () => string.Join(',', map.Keys));
        Note("values", () => string.Join(',', map.Values));
        Note("copied", () =>
        {
            var into = new KeyValuePair<string, StringValues>[5];
            pairs.CopyTo(into, 1);
            return string.Join(',', into.Select(one => $"{one.Key}={one.Value}"));
        });
        Note("copied to little", () => { pairs.CopyTo(new KeyValuePair<string, StringValues>[2], 0); return "fine"; });
        Note("copied below", () => { pairs.CopyTo(new KeyValuePair<string, StringValues>[5], -1); return "fine"; });
        foreach (var length in new[] { "0", "00", "042", "42", "9223372036854775807", "9223372036854775808", "", " ", " 42", "42 ", "bad", "42,000", "-1", "+1" })
        {
            Note($"length '{length}'", () => { headers["Content-Length"] = length; return $"{headers.ContentLength} {headers["Content-Length"]}"; });
        }

        Note("two lengths", () => { headers["Content-Length"] = new StringValues(["1", "2"]); return headers["Content-Length"]; });
        Note("no length", () => { headers["Content-Length"] = StringValues.Empty; return headers.ContainsKey("Content-Length"); });
        Note("negative", () => { headers.ContentLength = -1; return "fine"; });
        foreach (var name in new string?[] { null, "", "a b", "a:b", "a\r\nb", "\u00e9", "a\u007f", "a\"" })
        {
            Note($"name {Escaped(name)}", () => { headers[name!] = "v"; return map.Remove(name!); });
            Note($"add {Escaped(name)}", () => { map.Add(name!, "v"); return map.Remove(name!); });
            if (name is null)
            {
                continue;
            }

            Note($"get {Escaped(name)}", () => Kind(headers[name!]));
            Note($"contains {Escaped(name)}", () => $"{map.ContainsKey(name!)} {map.TryGetValue(name!, out _)}");
        }

        foreach (var value in new string?[] { null, "", "a\rb", "a\nb", "a\0b", "a\u001fb", "a\u007fb", "a\tb", " a " })
        {
            Note($"value {Escaped(value)}", () => { headers["X-Value"] = value; return $"{Kind(headers["X-Value"])} {map.Remove("x-value")}"; });
            if (value is null)
            {
                continue;
            }

            Note($"known value {Escaped(value)}", () => { headers.ETag = value; return $"{Kind(headers.ETag)} {map.Remove("etag")}"; });
        }

        Note("several", () => { headers["X-Several"] = new StringValues(["a", null, "", "b"]); return $"{headers["X-Several"].Count} {headers.Remove("x-several")}"; });
        map.Clear();
        Note("cleared", () => headers.Count);
        tell(text.ToString());
        return context.Response.WriteAsync("done");
    }

    /// <summary>Each feature that is there from the start can be taken away and put back.</summary>
    internal static Task Features(HttpContext context, string how, Action<string> tell)
    {
        var features = context.Features;
        var text = new StringBuilder();
        foreach (var (type, value) in features.ToArray())
        {
            var same = ReferenceEquals(features[type], value);
            features[type] = null;
            var isNone = features[type] is null;
            features[type] = value;
            if (!same || !isNone || !ReferenceEquals(features[type], value))
            {
                text.Append($"{type.Name} {same} {isNone}\n");
            }
        }

        tell($"{text}{features.Count() > 10}");
        return context.Response.WriteAsync("done");
    }

    private static string Escaped(string? text) => text is null ? "null" : Uri.EscapeDataString(text);

    private static string Kind(StringValues values)
        => $"{values.Count} {(values.Count == 0 ? ((string?[]?)values is null ? "none" : "empty") : Escaped(values))}";

    private static string Result(Func<object?> action)
    {
        try
        {
            return $"{action()}";
        }
        catch (Exception error)
        {
            return error.GetType().Name;
        }
    }
}
