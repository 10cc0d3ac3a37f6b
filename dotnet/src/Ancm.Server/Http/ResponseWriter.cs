using System;
using System.Buffers;
using System.IO.Pipelines;
using System.Threading;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The response body as a pipe whose memory is the engine's: what the app writes is sent from
/// where it wrote it. Bytes become the engine's with a release store of the block's count, at a
/// flush or when a block is full; until the response has started they can still be dropped. Whoever
/// touches blocks or the exchange holds <see cref="HostContext.Gate"/>.
/// </summary>
internal sealed unsafe partial class ResponseWriter : PipeWriter
{
    private readonly HostContext _context;
    private NativeExchange* _exchange;
    private NativeBlock* _block;
    private BlockMemory? _memory;
    private int _position;
    private int _committed;
    private long _unflushed;
    private ulong _committedTotal;
    // Written before the start and beyond the first block: a block that has a successor belongs to
    // the engine, and these bytes can still be dropped.
    private byte[] _early = [];
    private int _earlyLength;
    // Whether somebody may have kept a view of them.
    private bool _earlyIsSeen;
    private bool _discard;
    private bool _completed;
    // Whether memory has been handed out that may be advanced over.
    private bool _isLeased;

    internal ResponseWriter(HostContext context) => _context = context;

    /// <summary>Body bytes that the app has written, sent or not.</summary>
    internal long Length { get; private set; }

    /// <summary>Whether the app has put bytes into memory of ours, and not only handed them over.</summary>
    internal bool HasAdvanced { get; private set; }

    public override bool CanGetUnflushedBytes => true;

    public override long UnflushedBytes => _unflushed;

    private int Capacity => (int)_block->Capacity;

    internal void Begin(NativeExchange* exchange, bool discard)
    {
        _exchange = exchange;
        _block = exchange->Block;
        _position = (int)_block->Committed;
        _committed = _position;
        _unflushed = 0;
        _committedTotal = 0;
        _discard = discard;
        _completed = false;
        _isLeased = false;
        _cancelNext = false;
        Length = 0;
        HasAdvanced = false;
    }

    internal void End()
    {
        // Nobody may wait for a response that is over.
        OnWritable();
        ReturnEarly();
        BlockMemory.Retire(ref _memory);
        _exchange = null;
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        lock (_context.Gate)
        {
            return Reserve(sizeHint)
                ? BlockMemory.View(ref _memory, _block->Data, Capacity)[_position..]
                : SeeEarly();
        }
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        lock (_context.Gate)
        {
            return Reserve(sizeHint)
                ? new Span<byte>(_block->Data + _position, Capacity - _position)
                : _early.AsSpan(_earlyLength);
        }
    }

    public override void Advance(int bytes)
    {
        Fill(bytes);
        HasAdvanced |= bytes > 0;
    }

    /// <summary>Advances for what the app only hands over, a file say.</summary>
    internal void Fill(int bytes)
    {
        lock (_context.Gate)
        {
            FillNow(bytes);
        }
    }

    private void FillNow(int bytes)
    {
        _context.CheckNotUpgraded();
        ThrowIfEnded();
        var free = _early.Length > 0 ? _early.Length - _earlyLength : Capacity - _position;
        if ((uint)bytes > (uint)free)
        {
            throw new ArgumentOutOfRangeException(nameof(bytes));
        }

        if (!_isLeased)
        {
            throw new InvalidOperationException("Invalid ordering of calling StartAsync or CompleteAsync and Advance.");
        }

        Accept(bytes);
        if (IsInVain)
        {
            return;
        }

        if (_early.Length > 0)
        {
            _earlyLength += bytes;
        }
        else
        {
            _position += bytes;
        }
    }

    /// <summary>The response is over now.</summary>
    public override void Complete(Exception? exception = null)
    {
        ThrowIfClosed();
        if (exception is not null)
        {
            _context.FailBody(exception);
        }

        _context.Complete();
        _completed = true;
    }

    /// <summary>Copies bytes behind what is there, over as many blocks as it takes.</summary>
    internal void Append(ReadOnlySpan<byte> source)
    {
        lock (_context.Gate)
        {
            AppendNow(source);
        }
    }

    private void AppendNow(ReadOnlySpan<byte> source)
    {
        ThrowIfEnded();
        Accept(source.Length);
        if (IsInVain)
        {
            return;
        }

        if (_early.Length == 0 && (_context.HasStarted || source.Length <= Capacity - _position))
        {
            Copy(source);
        }
        else
        {
            ReserveEarly(source.Length);
            source.CopyTo(_early.AsSpan(_earlyLength));
            _earlyLength += source.Length;
        }
    }

    /// <summary>Nobody gets what is written: there is no body, or the app has given the request up.</summary>
    private bool IsInVain => _discard || _context.IsAbortedByApp;

    /// <summary>
    /// Makes everything written so far the engine's. The response has started. What an abort finds
    /// unflushed stays here.
    /// </summary>
    internal void Commit()
    {
        _unflushed = 0;
        if (_position != _committed && !_context.IsAbortedByApp)
        {
            _committedTotal += (ulong)(_position - _committed);
            _committed = _position;
            Volatile.Write(ref _block->Committed, (uint)_position);
        }
    }

    /// <summary>The response starts: what was written before belongs to it now.</summary>
    internal void TakeEarly()
    {
        _isLeased = false;
        if (_early.Length > 0)
        {
            Copy(_early.AsSpan(0, _earlyLength));
            ReturnEarly();
        }
    }

    /// <summary>Forgets what was written before the start, for an error response in its place.</summary>
    internal void DropUncommitted()
    {
        ReturnEarly();
        _position = _committed;
        _unflushed = 0;
        Length = 0;
        HasAdvanced = false;
        // The error answers have no body at all.
        _discard = true;
    }

    /// <summary>Makes room: true in the block, false among the early bytes.</summary>
    private bool Reserve(int sizeHint)
    {
        _context.CheckNotUpgraded();
        ThrowIfEnded();
        ArgumentOutOfRangeException.ThrowIfNegative(sizeHint);
        _isLeased = true;
        var wanted = Math.Max(sizeHint, 1);
        if (_early.Length == 0)
        {
            if (Capacity - _position >= wanted)
            {
                return true;
            }

            if (_context.HasStarted)
            {
                Grow(wanted);
                return true;
            }
        }

        ReserveEarly(wanted);
        return false;
    }

    private void ReserveEarly(int size)
    {
        if (_early.Length - _earlyLength >= size)
        {
            return;
        }

        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(_earlyLength + size, _early.Length * 2));
        _early.AsSpan(0, _earlyLength).CopyTo(larger);
        var length = _earlyLength;
        ReturnEarly();
        _early = larger;
        _earlyLength = length;
    }

    private Memory<byte> SeeEarly()
    {
        _earlyIsSeen = true;
        return _early.AsMemory(_earlyLength);
    }

    private void ReturnEarly()
    {
        if (_early.Length > 0)
        {
            // What somebody may write to later must not be anybody else's by then.
            if (!_earlyIsSeen)
            {
                ArrayPool<byte>.Shared.Return(_early);
            }

            _earlyIsSeen = false;
            _early = [];
            _earlyLength = 0;
        }
    }

    private void Copy(ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            if (_position == Capacity)
            {
                Grow(Math.Min(source.Length, HighWater));
            }

            var part = Math.Min(source.Length, Capacity - _position);
            source[..part].CopyTo(new Span<byte>(_block->Data + _position, part));
            _position += part;
            source = source[part..];
        }
    }

    private void Grow(int min)
    {
        Commit();
        BlockMemory.Retire(ref _memory);
        _block = NativeApi.Grow(_exchange, min);
        _position = (int)_block->Committed;
        _committed = _position;
    }

    private void Accept(int bytes)
    {
        if (bytes == 0)
        {
            return;
        }

        _context.CheckBodyAllowed();
        var declared = _context.DeclaredLength;
        if (Length + bytes > declared && !_discard && !_context.HasOwnCoding)
        {
            throw _context.TooManyBytes(Length + bytes, declared.GetValueOrDefault());
        }

        Length += bytes;
        _unflushed += bytes;
    }

    private void ThrowIfClosed()
    {
        if (_context.IsClosed)
        {
            throw new ObjectDisposedException(nameof(PipeWriter), "The request has ended; nothing can be written to its response.");
        }
    }

    private void ThrowIfEnded()
    {
        ThrowIfClosed();
        if (_completed || _context.IsEnded)
        {
            throw new InvalidOperationException("Writing is not allowed after writer was completed.");
        }
    }
}
