using System;
using System.Text;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// A string made from native bytes at the first read. Clients repeat themselves, so the string of
/// the previous request is tried before a new one is allocated.
/// </summary>
internal struct CachedText
{
    private string? _last;
    private string? _current;

    internal void Clear() => _current = null;

    internal void Set(string value) => _current = value;

    internal string Get(in NativeStr text) => _current ?? (_current = _last = Decode(text.AsSpan(), _last, latin1: false));

    internal static string Decode(ReadOnlySpan<byte> bytes, string? previous, bool latin1)
    {
        if (bytes.IsEmpty)
        {
            return string.Empty;
        }

        if (previous is not null && previous.Length == bytes.Length && Ascii.Equals(bytes, previous))
        {
            return previous;
        }

        return (latin1 ? Encoding.Latin1 : Encoding.UTF8).GetString(bytes);
    }
}
