using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// Request header fields, left in native memory until somebody asks. A look-up compares bytes and
/// makes a string of the value that was asked for; enumeration and changes copy everything into a
/// dictionary, which then is the truth for the rest of the request. What is enumerated is a
/// snapshot, in Kestrel's order.
/// </summary>
internal sealed unsafe partial class RequestHeaders : IHeaderDictionary
{
    private readonly Dictionary<string, StringValues> _copy = new(StringComparer.OrdinalIgnoreCase);
    private readonly bool _latin1;
    private NativeExchange* _exchange;
    private NativeHeader* _fields;
    private int _count;
    private bool _copied;
    // By position: the string last made there, and the request it was made for. A kept connection
    // sends the same fields in the same places, so the string of the request before often fits.
    private Entry[] _entries = new Entry[16];
    private uint _request;

    internal RequestHeaders(bool latin1) => _latin1 = latin1;

    public int Count => Copy().Count;

    public bool IsReadOnly => false;

    public ICollection<string> Keys => Array.ConvertAll(InOrder(), static field => field.Key);

    public ICollection<StringValues> Values => Array.ConvertAll(InOrder(), static field => field.Value);

    public long? ContentLength
    {
        get
        {
            if (!_copied)
            {
                return _exchange is not null && _exchange->ContentLength >= 0 ? _exchange->ContentLength : null;
            }

            return _copy.TryGetValue(HeaderNames.ContentLength, out var text) ? HeaderRules.Length(text) : null;
        }

        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value.GetValueOrDefault(), nameof(value));
            this[HeaderNames.ContentLength] = value?.ToString(CultureInfo.InvariantCulture);
        }
    }

    public StringValues this[string key]
    {
        get => TryGetValue(key, out var value) ? value : StringValues.Empty;
        set
        {
            HeaderRules.CheckKey(key);
            if (value.Count == 0)
            {
                Copy().Remove(key);
            }
            else
            {
                Copy()[KnownRequestHeaders.Spell(key)] = Checked(key, value);
            }
        }
    }

    /// <summary>As a dictionary, what is not there is no empty value.</summary>
    StringValues IDictionary<string, StringValues>.this[string key]
    {
        get => TryGetValue(key, out var value) ? value : throw HeaderRules.NoSuchKey();
        set => this[key] = value;
    }

    internal void Begin(NativeExchange* exchange)
    {
        _exchange = exchange;
        _fields = exchange->Headers;
        _count = (int)exchange->HeaderCount;
        _request++;
        if (_count > _entries.Length)
        {
            Array.Resize(ref _entries, _count * 2);
        }
    }

    /// <summary>Forgets the native memory. Late readers find no headers.</summary>
    internal void End()
    {
        _exchange = null;
        _fields = null;
        _count = 0;
        if (_copied)
        {
            _copied = false;
            _copy.Clear();
        }
    }

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out StringValues value)
    {
        if (_copied)
        {
            return _copy.TryGetValue(key, out value);
        }

        value = default;
        var found = false;
        for (var index = 0; index < _count; index++)
        {
            if (!IsNamed(index, key))
            {
                continue;
            }

            value = found ? StringValues.Concat(value, ValueAt(index)) : new StringValues(ValueAt(index));
            found = true;
        }

        if (found && HeaderRules.IsConnection(key))
        {
            value = ConnectionField.Spell(value);
        }

        return found;
    }

    public bool ContainsKey(string key)
    {
        if (_copied)
        {
            return _copy.ContainsKey(key);
        }

        for (var index = 0; index < _count; index++)
        {
            if (IsNamed(index, key))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsNamed(int index, string key)
    {
        var name = _fields[index].Name.AsSpan();
        return name.Length == key.Length && Ascii.EqualsIgnoreCase(name, key);
    }

    private string ValueAt(int index)
    {
        ref var entry = ref _entries[index];
        if (entry.Request != _request || entry.Value is null)
        {
            entry.Value = CachedText.Decode(_fields[index].Value.AsSpan(), entry.Value, _latin1);
            entry.Request = _request;
        }

        return entry.Value;
    }

    private string NameAt(int index)
    {
        ref var entry = ref _entries[index];
        return entry.Name = CachedText.Decode(_fields[index].Name.AsSpan(), entry.Name, latin1: true);
    }

    private Dictionary<string, StringValues> Copy()
    {
        if (_copied)
        {
            return _copy;
        }

        for (var index = 0; index < _count; index++)
        {
            var name = KnownRequestHeaders.Spell(NameAt(index));
            _copy[name] = _copy.TryGetValue(name, out var earlier)
                ? StringValues.Concat(earlier, ValueAt(index))
                : new StringValues(ValueAt(index));
        }

        if (_copy.TryGetValue(HeaderNames.Connection, out var connection))
        {
            _copy[HeaderNames.Connection] = ConnectionField.Spell(connection);
        }

        _copied = true;
        return _copy;
    }

    /// <summary>All fields in Kestrel's order; those that it does not know keep their own.</summary>
    private KeyValuePair<string, StringValues>[] InOrder()
    {
        var copy = Copy();
        var fields = new KeyValuePair<string, StringValues>[copy.Count];
        var places = new int[copy.Count];
        var count = 0;
        foreach (var field in copy)
        {
            fields[count] = field;
            places[count] = (KnownRequestHeaders.Rank(field.Key) << 16) + count;
            count++;
        }

        Array.Sort(places, fields);
        return fields;
    }

    private struct Entry
    {
        internal string? Name;
        internal string? Value;
        internal uint Request;
    }
}

/// <summary>The rest of the dictionary interface; all of it works on the copy.</summary>
internal sealed partial class RequestHeaders
{
    public void Add(string key, StringValues value)
    {
        HeaderRules.CheckKey(key);
        Copy().Add(KnownRequestHeaders.Spell(key), Checked(key, value));
    }

    public void Add(KeyValuePair<string, StringValues> item) => Add(item.Key, item.Value);

    public bool Remove(string key) => Copy().Remove(key);

    public bool Remove(KeyValuePair<string, StringValues> item)
        => ((ICollection<KeyValuePair<string, StringValues>>)Copy()).Remove(item);

    public void Clear() => Copy().Clear();

    public bool Contains(KeyValuePair<string, StringValues> item)
        => TryGetValue(item.Key, out var value) && value.Equals(item.Value);

    public void CopyTo(KeyValuePair<string, StringValues>[] array, int arrayIndex)
    {
        HeaderRules.CheckRoom(array, arrayIndex, Count);
        InOrder().CopyTo(array, arrayIndex);
    }

    public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator() 
        => ((IEnumerable<KeyValuePair<string, StringValues>>)InOrder()).GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>A length is a number, and written as one.</summary>
    private static StringValues Checked(string key, StringValues value)
    {
        if (!HeaderRules.IsContentLength(key))
        {
            return value;
        }

        return HeaderRules.Length(value) is { } length
            ? length.ToString(CultureInfo.InvariantCulture)
            : throw new BadHttpRequestException($"Invalid content length: {value}", StatusCodes.Status400BadRequest);
    }
}
