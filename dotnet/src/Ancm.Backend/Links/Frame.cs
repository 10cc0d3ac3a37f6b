using System;
using System.Buffers.Binary;

namespace Ancm.Backend.Links;

/// <summary>
/// What a link carries: frames of eight bytes, little endian, with a payload behind those of data.
/// <code>
///  0        4        7      8
///  | number | value  | kind | payload, if it is data: as many bytes as value says
/// </code>
/// The host opens channels and names them; a name is free again when both sides have closed it. Either
/// side may send as much on a channel as it was granted: <see cref="Window"/> at first, what the
/// other side has taken since then. The other half is <c>crates/engine/src/link</c>.
/// </summary>
internal readonly struct Frame
{
    internal const int HeaderLength = 8;

    /// <summary>Bytes that a side may send on a channel before the other has taken any; behind one header there are no more.</summary>
    internal const int Window = 128 * 1024;

    internal required uint Number { get; init; }

    internal required Kind Kind { get; init; }

    /// <summary>Of data its length; of a credit the bytes granted; of an end see there.</summary>
    internal int Value { get; init; }

    internal static Frame Read(ReadOnlySpan<byte> header)
    {
        var word = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        return new Frame
        {
            Number = BinaryPrimitives.ReadUInt32LittleEndian(header),
            Kind = (Kind)(word >> 24),
            Value = (int)(word & 0xFF_FFFF),
        };
    }

    internal void Write(Span<byte> header)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(header, Number);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], ((uint)Kind << 24) | (uint)Value);
    }
}

internal enum Kind : byte
{
    /// <summary>The host begins a channel.</summary>
    Open = 1,

    /// <summary>Bytes of a channel.</summary>
    Data = 2,

    /// <summary>The other side may send so many bytes more.</summary>
    Credit = 3,

    /// <summary>
    /// The last frame of a side on a channel. That of a backend says how many bytes of the channel its
    /// server has taken, without what exceeds three bytes: a request behind them is one that nobody saw.
    /// </summary>
    Close = 4,
}
