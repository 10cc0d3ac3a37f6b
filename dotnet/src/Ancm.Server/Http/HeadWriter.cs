using System;
using System.Buffers.Binary;
using System.Text;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>Encodes a response head into the exchange, as <see cref="HeadLayout"/> describes it.</summary>
internal unsafe ref struct HeadWriter
{
    // No character becomes more bytes than this in UTF-8.
    private const int MaxBytesPerChar = 3;

    private readonly NativeExchange* _exchange;
    private int _position;
    private int _fields;

    internal HeadWriter(NativeExchange* exchange, int status, string? reason, long? contentLength)
    {
        _exchange = exchange;
        _position = (int)HeadLayout.Size;
        // One that is larger than the layout has room for says nothing to anybody; the standard one does.
        var reasonLength = reason is null || reason.Length > ushort.MaxValue ? 0 : WriteText(reason);
        var head = Fixed;
        BinaryPrimitives.WriteUInt16LittleEndian(head[(int)HeadLayout.Status..], (ushort)status);
        BinaryPrimitives.WriteUInt16LittleEndian(head[(int)HeadLayout.Reason..], (ushort)reasonLength);
        BinaryPrimitives.WriteUInt16LittleEndian(head[(int)HeadLayout.Flags..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(head[(int)HeadLayout.ContentLength..], contentLength ?? -1);
    }

    private readonly Span<byte> Fixed => new(_exchange->Head, (int)HeadLayout.Size);

    internal static void WriteEmpty(NativeExchange* exchange, int status)
        => new HeadWriter(exchange, status, reason: null, contentLength: 0).Finish();

    internal void Add(string name, string value)
    {
        var field = _position;
        Reserve((int)HeadLayout.FieldSize);
        _position += (int)HeadLayout.FieldSize;
        var nameLength = WriteText(name);
        var valueLength = WriteText(value);
        var prefix = new Span<byte>(_exchange->Head + field, (int)HeadLayout.FieldSize);
        BinaryPrimitives.WriteUInt16LittleEndian(prefix, checked((ushort)nameLength));
        BinaryPrimitives.WriteUInt32LittleEndian(prefix[sizeof(ushort)..], (uint)valueLength);
        _fields++;
    }

    internal readonly void Finish()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Fixed[(int)HeadLayout.Count..], checked((ushort)_fields));
        _exchange->HeadLen = (uint)_position;
    }

    private int WriteText(string text)
    {
        Reserve(text.Length * MaxBytesPerChar);
        var free = new Span<byte>(_exchange->Head + _position, (int)_exchange->HeadCapacity - _position);
        var written = Encoding.UTF8.GetBytes(text, free);
        _position += written;
        return written;
    }

    private readonly void Reserve(int size)
    {
        if (_position + size > (int)_exchange->HeadCapacity)
        {
            // The host keeps only what is counted as used.
            _exchange->HeadLen = (uint)_position;
            NativeApi.GrowHead(_exchange, _position + size);
        }
    }
}
