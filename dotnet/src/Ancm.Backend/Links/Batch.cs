using System;
using System.Collections.Generic;
using System.Net.Sockets;

namespace Ancm.Backend.Links;

/// <summary>
/// Frames that go out together. Heads and small payloads are copied behind each other; larger ones are
/// sent from the blocks that the server has written them to.
/// </summary>
internal sealed class Batch(BlockPool pool)
{
    /// <summary>A piece below this is copied: to have the kernel look for it elsewhere costs more.</summary>
    private const int Copied = 2048;

    private readonly List<ArraySegment<byte>> _pieces = [];

    /// <summary>What goes back when all is sent.</summary>
    private readonly List<BlockPool.Block> _blocks = [];

    /// <summary>The block that is copied to, and how much of it is taken.</summary>
    private BlockPool.Block? _block;
    private int _end;

    /// <summary>Where the head of the last frame is, if that is one of data, and what it says.</summary>
    private (Memory<byte> Head, uint Number, int Length)? _last;

    /// <summary>Bytes in it.</summary>
    internal int Length { get; private set; }

    /// <summary>Appends a frame without a payload.</summary>
    internal void Add(Frame frame)
    {
        frame.Write(Append(Frame.HeaderLength).Span);
        _last = null;
    }

    /// <summary>Appends the next bytes of a channel: to its frame, if that was the last and has room.</summary>
    internal void Add(uint number, Written written, int count)
    {
        var before = _last is { } last && last.Number == number && last.Length + count <= Frame.Window ? last.Length : 0;
        var head = before > 0 ? _last!.Value.Head : Append(Frame.HeaderLength);
        new Frame { Number = number, Kind = Kind.Data, Value = before + count }.Write(head.Span);
        _last = (head, number, before + count);
        while (count > 0)
        {
            var (bytes, block, isWhole) = written.Take(count);
            count -= bytes.Count;
            var isCopied = bytes.Count < Copied;
            if (isCopied)
            {
                bytes.AsSpan().CopyTo(Append(bytes.Count).Span);
            }
            else
            {
                _pieces.Add(bytes);
                Length += bytes.Count;
            }

            if (isCopied && isWhole)
            {
                block?.Dispose();
            }
            else if (block is not null)
            {
                _blocks.Add(block);
            }
        }
    }

    /// <summary>Sends all of it.</summary>
    internal void Send(Socket socket)
    {
        while (_pieces.Count > 0)
        {
            var sent = _pieces.Count == 1 ? socket.Send(_pieces[0]) : socket.Send(_pieces);
            var whole = 0;
            for (; whole < _pieces.Count && sent >= _pieces[whole].Count; whole++)
            {
                sent -= _pieces[whole].Count;
            }

            _pieces.RemoveRange(0, whole);
            if (sent > 0)
            {
                _pieces[0] = _pieces[0][sent..];
            }
        }
    }

    /// <summary>Empties it, and gives the blocks back.</summary>
    internal void Clear()
    {
        foreach (var block in _blocks)
        {
            block.Dispose();
        }

        _blocks.Clear();
        _pieces.Clear();
        _block = null;
        _last = null;
        Length = 0;
    }

    /// <summary>Room for bytes behind those before.</summary>
    private Memory<byte> Append(int count)
    {
        if (_block is null || _block.Bytes.Length - _end < count)
        {
            _block = pool.RentBlock(count);
            _blocks.Add(_block);
            _end = 0;
        }

        var piece = new ArraySegment<byte>(_block.Bytes, _end, count);
        if (_pieces.Count > 0 && _pieces[^1] is var last && last.Array == _block.Bytes && last.Offset + last.Count == _end)
        {
            _pieces[^1] = new ArraySegment<byte>(_block.Bytes, last.Offset, last.Count + count);
        }
        else
        {
            _pieces.Add(piece);
        }

        _end += count;
        Length += count;
        return piece;
    }
}
