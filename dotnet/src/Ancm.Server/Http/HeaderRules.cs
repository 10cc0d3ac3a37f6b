using System;
using System.Buffers;
using System.Collections.Generic;
using System.Globalization;

using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Ancm.Server;

/// <summary>
/// What may not go into a response head. Checked when the app sets it, so that the exception
/// points at the culprit and nobody can split a response.
/// </summary>
internal static class HeaderRules
{
    private static readonly SearchValues<char> s_token = SearchValues.Create(
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

    // Everything below space but the tab, and delete.
    private static readonly SearchValues<char> s_controls = SearchValues.Create(
        "\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\u0008\u000A\u000B\u000C\u000D\u000E\u000F"
        + "\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001A\u001B\u001C\u001D\u001E\u001F\u007F");

    /// <summary>A field that is set needs a name.</summary>
    internal static void CheckKey(string? key)
    {
        if (string.IsNullOrEmpty(key))
        {
            throw new InvalidOperationException("A header needs a name.");
        }
    }

    internal static bool IsContentLength(string key)
        => key.Length == HeaderNames.ContentLength.Length
            && key.Equals(HeaderNames.ContentLength, StringComparison.OrdinalIgnoreCase);

    internal static bool IsConnection(string key)
        => key.Length == HeaderNames.Connection.Length
            && key.Equals(HeaderNames.Connection, StringComparison.OrdinalIgnoreCase);

    /// <summary>What a length says; null when it is no number, which is digits and nothing else.</summary>
    internal static long? Length(StringValues value)
        => long.TryParse(value.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out var length) ? length : null;

    internal static KeyNotFoundException NoSuchKey() => new("There is no header of that name.");

    internal static void CheckRoom(Array array, int index, int count)
    {
        if (index < 0 || array.Length - index < count)
        {
            throw new ArgumentException("The array has no room for all headers behind this index.", nameof(index));
        }
    }

    internal static void CheckName(string name)
    {
        var index = name.AsSpan().IndexOfAnyExcept(s_token);
        if (index >= 0)
        {
            Throw("Invalid character in header name", name[index]);
        }
    }

    internal static void CheckValue(StringValues values)
    {
        for (var part = 0; part < values.Count; part++)
        {
            CheckText(values[part], "Invalid control character in header");
        }
    }

    /// <summary>Tab, space and visible ASCII only, as newest IIS wants it.</summary>
    internal static void CheckReason(string? reason)
    {
        CheckText(reason, "Invalid control character in reason phrase");
        var index = reason.AsSpan().IndexOfAnyExceptInRange('\u0000', '\u007F');
        if (index >= 0)
        {
            Throw("Invalid non-ASCII character in reason phrase", reason![index]);
        }
    }

    private static void CheckText(string? text, string message)
    {
        var index = text.AsSpan().IndexOfAny(s_controls);
        if (index >= 0)
        {
            Throw(message, text![index]);
        }
    }

    private static void Throw(string message, char found)
        => throw new InvalidOperationException(
            string.Create(CultureInfo.InvariantCulture, $"{message}: 0x{(int)found:X4}"));
}
