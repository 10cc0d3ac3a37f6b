using System;
using System.Collections.Generic;

using Microsoft.Net.Http.Headers;

namespace Ancm.Server;

/// <summary>
/// Names of response headers that Kestrel knows: it sends them in this order, before all others.
/// These, and all that the framework has a constant for, have one spelling, whatever the app wrote.
/// </summary>
internal static class KnownResponseHeaders
{
    private static readonly string[] s_names =
    [
        HeaderNames.Connection, HeaderNames.ContentType, HeaderNames.Date, HeaderNames.Server,
        HeaderNames.AcceptRanges, HeaderNames.AccessControlAllowCredentials,
        HeaderNames.AccessControlAllowHeaders, HeaderNames.AccessControlAllowMethods,
        HeaderNames.AccessControlAllowOrigin, HeaderNames.AccessControlExposeHeaders,
        HeaderNames.AccessControlMaxAge, HeaderNames.Age, HeaderNames.Allow, HeaderNames.AltSvc,
        HeaderNames.CacheControl, HeaderNames.ContentEncoding, HeaderNames.ContentLanguage,
        HeaderNames.ContentLocation, HeaderNames.ContentMD5, HeaderNames.ContentRange,
        HeaderNames.ETag, HeaderNames.Expires, HeaderNames.GrpcEncoding, HeaderNames.KeepAlive,
        HeaderNames.LastModified, HeaderNames.Location, HeaderNames.Pragma,
        HeaderNames.ProxyAuthenticate, HeaderNames.ProxyConnection, HeaderNames.RetryAfter,
        HeaderNames.SetCookie, HeaderNames.Trailer, HeaderNames.TransferEncoding,
        HeaderNames.Upgrade, HeaderNames.Vary, HeaderNames.Via, HeaderNames.Warning,
        HeaderNames.WWWAuthenticate,
    ];

    // Not a frozen one: that takes longer to make than a young worker's first answer to send.
    private static readonly Dictionary<string, int> s_ranks = Ranks();

    /// <summary>The rank of names that Kestrel does not know.</summary>
    internal static int Others => s_names.Length;

    /// <summary>The rank of a name, which gets its spelling.</summary>
    internal static int Rank(ref string name)
    {
        if (s_ranks.TryGetValue(name, out var rank))
        {
            name = s_names[rank];
            return rank;
        }

        name = KnownRequestHeaders.Spell(name);
        return Others;
    }

    private static Dictionary<string, int> Ranks()
    {
        var ranks = new Dictionary<string, int>(s_names.Length, StringComparer.OrdinalIgnoreCase);
        for (var rank = 0; rank < s_names.Length; rank++)
        {
            ranks.Add(s_names[rank], rank);
        }

        return ranks;
    }
}
