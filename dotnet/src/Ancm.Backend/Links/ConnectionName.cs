using System;
using System.Threading;

namespace Ancm.Backend.Links;

/// <summary>
/// Names of connections, by which requests are told apart in logs: a channel's number comes again.
/// Counted from the time, as Kestrel does, so that those of several backends differ.
/// </summary>
internal static class ConnectionName
{
    private const string Base32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

    private static long s_last = DateTime.UtcNow.Ticks;

    internal static string Next() => string.Create(13, Interlocked.Increment(ref s_last), static (text, id) =>
    {
        for (var index = text.Length - 1; index >= 0; index--)
        {
            text[index] = Base32[(int)(id & 31)];
            id >>= 5;
        }
    });
}
