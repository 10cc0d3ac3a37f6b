using System;
using System.Collections.Frozen;
using System.Collections.Generic;
using System.Reflection;

using Microsoft.Net.Http.Headers;

namespace Ancm.Server;

/// <summary>
/// Names of request headers that Kestrel knows: it enumerates them in this order, before all others.
/// These, and all that the framework has a constant for, have one spelling, whatever the client
/// wrote. Pages that list the headers of a request show both.
/// </summary>
internal static class KnownRequestHeaders
{
    private static readonly string[] s_names =
    [
        "Accept", "Connection", "Host", "User-Agent",
        "Accept-Charset", "Accept-Encoding", "Accept-Language",
        "Access-Control-Request-Headers", "Access-Control-Request-Method",
        "Alt-Used", "Authorization", "baggage", "Cache-Control", "Content-Type", "Cookie",
        "Correlation-Context", "Date", "Expect", "From",
        "Grpc-Accept-Encoding", "Grpc-Encoding", "Grpc-Timeout",
        "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since",
        "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Proxy-Authorization",
        "Range", "Referer", "Request-Id", "TE", "traceparent", "tracestate", "Transfer-Encoding",
        "Translate", "Upgrade", "Upgrade-Insecure-Requests", "Via", "Warning", "Content-Length",
    ];

    private static readonly FrozenDictionary<string, int> s_ranks = Ranks();
    private static readonly FrozenDictionary<string, string> s_spellings = Spellings();

    /// <summary>The place of a name, and one behind all of them for others.</summary>
    internal static int Rank(string name) => s_ranks.TryGetValue(name, out var rank) ? rank : s_names.Length;

    /// <summary>The spelling of a name.</summary>
    internal static string Spell(string name) => s_spellings.TryGetValue(name, out var spelling) ? spelling : name;

    private static FrozenDictionary<string, int> Ranks()
    {
        var ranks = new Dictionary<string, int>();
        for (var rank = 0; rank < s_names.Length; rank++)
        {
            ranks.Add(s_names[rank], rank);
        }

        return ranks.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
    }

    private static FrozenDictionary<string, string> Spellings()
    {
        var spellings = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var constant in typeof(HeaderNames).GetFields(BindingFlags.Public | BindingFlags.Static))
        {
            if (constant.GetValue(null) is string name)
            {
                spellings[name] = name;
            }
        }

        foreach (var name in s_names)
        {
            spellings[name] = name;
        }

        return spellings.ToFrozenDictionary(StringComparer.OrdinalIgnoreCase);
    }
}
