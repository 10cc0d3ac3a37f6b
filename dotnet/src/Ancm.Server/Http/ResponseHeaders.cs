using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Ancm.Server;

/// <summary>
/// Response header fields in Kestrel's order (<see cref="KnownResponseHeaders"/>), those that it does
/// not know as they were set. A response has few, so arrays searched in order beat a hash table.
/// The declared length is kept as a number beside them.
/// </summary>
internal sealed partial class ResponseHeaders : IHeaderDictionary
{
    private string[] _names = new string[8];
    private StringValues[] _values = new StringValues[8];
    private int[] _ranks = new int[8];
    private int _count;
    private long? _contentLength;
    // The body comes in chunks; as a field only for who looks.
    private bool _hidesChunks;

    internal const string Chunked = "chunked";

    /// <summary>True once the head is encoded, and between requests.</summary>
    public bool IsReadOnly { get; private set; } = true;

    public int Count => Shown + (_contentLength.HasValue ? 1 : 0);

    public long? ContentLength
    {
        get => _contentLength;
        set
        {
            ThrowIfReadOnly();
            ArgumentOutOfRangeException.ThrowIfNegative(value.GetValueOrDefault(), nameof(value));
            _contentLength = value;
        }
    }

    public StringValues this[string key]
    {
        get => TryGetValue(key, out var value) ? value : StringValues.Empty;
        set
        {
            ThrowIfReadOnly();
            HeaderRules.CheckKey(key);
            if (value.Count == 0)
            {
                Remove(key);
            }
            else if (HeaderRules.IsContentLength(key))
            {
                _contentLength = ParseLength(value);
            }
            else
            {
                HeaderRules.CheckValue(value);
                var index = IndexOf(key);
                if (index < 0)
                {
                    Insert(key, value);
                }
                else
                {
                    _values[index] = value;
                }
            }
        }
    }

    /// <summary>As a dictionary, what is not there is no empty value.</summary>
    StringValues IDictionary<string, StringValues>.this[string key]
    {
        get => TryGetValue(key, out var value) ? value : throw HeaderRules.NoSuchKey();
        set => this[key] = value;
    }

    internal void Begin()
    {
        _hidesChunks = false;
        _count = 0;
        _contentLength = null;
        IsReadOnly = false;
    }

    internal void Freeze() => IsReadOnly = true;

    /// <summary>
    /// The head is written, and the body will be in chunks: middleware that looks afterwards sees the
    /// field, as on Kestrel.
    /// </summary>
    internal void ShowChunks() => _hidesChunks = true;

    /// <summary>Drops what the app set, for an error response that replaces its own.</summary>
    internal void Reset()
    {
        Array.Clear(_values, 0, _count);
        Begin();
    }

    /// <summary>Lets go of the app's strings.</summary>
    internal void End()
    {
        Array.Clear(_values, 0, _count);
        _count = 0;
        _contentLength = null;
        IsReadOnly = true;
    }

    /// <summary>Appends every field but the length. Null and empty values are left out, as under IIS.</summary>
    internal void WriteTo(ref HeadWriter head)
    {
        for (var index = 0; index < _count; index++)
        {
            var values = _values[index];
            for (var part = 0; part < values.Count; part++)
            {
                if (!string.IsNullOrEmpty(values[part]))
                {
                    head.Add(_names[index], values[part]!);
                }
            }
        }
    }

    public bool TryGetValue(string key, [MaybeNullWhen(false)] out StringValues value)
    {
        if (HeaderRules.IsContentLength(key))
        {
            value = _contentLength?.ToString(CultureInfo.InvariantCulture);
            return _contentLength.HasValue;
        }

        var index = IndexOf(key);
        value = index < 0 ? default : _values[index];
        return index >= 0;
    }

    public bool Remove(string key)
    {
        ThrowIfReadOnly();
        if (HeaderRules.IsContentLength(key))
        {
            var had = _contentLength.HasValue;
            _contentLength = null;
            return had;
        }

        var index = IndexOf(key);
        if (index < 0)
        {
            return false;
        }

        _count--;
        Array.Copy(_names, index + 1, _names, index, _count - index);
        Array.Copy(_values, index + 1, _values, index, _count - index);
        Array.Copy(_ranks, index + 1, _ranks, index, _count - index);
        _values[_count] = default;
        return true;
    }

    private static long ParseLength(StringValues value)
        => HeaderRules.Length(value)
            ?? throw new InvalidOperationException($"Invalid Content-Length: \"{value}\". Value must be a positive integral number.");

    /// <summary>How many fields there are beside the length, that of the chunks among them.</summary>
    private int Shown
    {
        get
        {
            if (_hidesChunks)
            {
                _hidesChunks = false;
                Insert(HeaderNames.TransferEncoding, Chunked);
            }

            return _count;
        }
    }

    private int IndexOf(string key)
    {
        var count = Shown;
        for (var index = 0; index < count; index++)
        {
            var name = _names[index];
            // The framework's own names are one string object each, so this mostly decides.
            if (ReferenceEquals(name, key))
            {
                return index;
            }

            if (name.Length == key.Length && name.Equals(key, StringComparison.OrdinalIgnoreCase))
            {
                return index;
            }
        }

        return -1;
    }

    private void Insert(string key, StringValues value)
    {
        HeaderRules.CheckName(key);
        var rank = KnownResponseHeaders.Rank(ref key);
        if (_count == _names.Length)
        {
            Array.Resize(ref _names, _count * 2);
            Array.Resize(ref _values, _count * 2);
            Array.Resize(ref _ranks, _count * 2);
        }

        var index = _count++;
        for (; index > 0 && _ranks[index - 1] > rank; index--)
        {
            _names[index] = _names[index - 1];
            _values[index] = _values[index - 1];
            _ranks[index] = _ranks[index - 1];
        }

        _names[index] = key;
        _values[index] = value;
        _ranks[index] = rank;
    }

    private void ThrowIfReadOnly()
    {
        if (IsReadOnly)
        {
            throw new InvalidOperationException("Headers are read-only, response has already started.");
        }
    }
}

/// <summary>The rest of the dictionary interface.</summary>
internal sealed partial class ResponseHeaders
{
    public ICollection<string> Keys
    {
        get
        {
            var keys = new List<string>(Count);
            foreach (var field in this)
            {
                keys.Add(field.Key);
            }

            return keys;
        }
    }

    public ICollection<StringValues> Values
    {
        get
        {
            var values = new List<StringValues>(Count);
            foreach (var field in this)
            {
                values.Add(field.Value);
            }

            return values;
        }
    }

    public void Add(string key, StringValues value)
    {
        HeaderRules.CheckKey(key);
        if (ContainsKey(key))
        {
            throw new ArgumentException("An item with the same key has already been added.", nameof(key));
        }

        this[key] = value;
    }

    public void Add(KeyValuePair<string, StringValues> item) => Add(item.Key, item.Value);

    public bool ContainsKey(string key) => TryGetValue(key, out _);

    public bool Contains(KeyValuePair<string, StringValues> item)
        => TryGetValue(item.Key, out var value) && value.Equals(item.Value);

    public bool Remove(KeyValuePair<string, StringValues> item) => Contains(item) && Remove(item.Key);

    public void Clear()
    {
        ThrowIfReadOnly();
        Reset();
    }

    public void CopyTo(KeyValuePair<string, StringValues>[] array, int arrayIndex)
    {
        HeaderRules.CheckRoom(array, arrayIndex, Count);
        foreach (var field in this)
        {
            array[arrayIndex++] = field;
        }
    }

    /// <summary>As Kestrel does: what it knows, the length, and the others.</summary>
    public IEnumerator<KeyValuePair<string, StringValues>> GetEnumerator()
    {
        var index = 0;
        var count = Shown;
        for (; index < count && _ranks[index] < KnownResponseHeaders.Others; index++)
        {
            yield return new(_names[index], _values[index]);
        }

        if (_contentLength is { } length)
        {
            yield return new(HeaderNames.ContentLength, length.ToString(CultureInfo.InvariantCulture));
        }

        for (; index < count; index++)
        {
            yield return new(_names[index], _values[index]);
        }
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
