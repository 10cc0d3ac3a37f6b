using System.Threading;

using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The end before the end: the client left, or the app gave up. The token's callbacks are user
/// code, so a lane never cancels it itself.
/// </summary>
internal abstract unsafe partial class HostContext : IHttpRequestLifetimeFeature
{
    private readonly object _abortGate = new();
    private CancellationTokenSource? _abortSource;
    // Whose cancellation is on its way, or done: the request's token stays the same.
    private CancellationTokenSource? _spentSource;
    private CancellationToken? _setAborted;
    private volatile Abortion _abortion;

    private enum Abortion
    {
        None,
        Client,
        App,
    }

    /// <summary>Nothing that is written will arrive.</summary>
    internal bool IsAborted => _abortion != Abortion.None;

    internal bool IsAbortedByApp => _abortion == Abortion.App;

    public CancellationToken RequestAborted
    {
        get
        {
            if (_setAborted is { } own)
            {
                return own;
            }

            lock (_abortGate)
            {
                return IsAborted
                    ? _spentSource?.Token ?? new CancellationToken(canceled: true)
                    : (_abortSource ??= new()).Token;
            }
        }

        set => _setAborted = value;
    }

    public void Abort() => AbortWith(Abortion.App);

    internal void AbortByServer()
    {
        if (IsActive)
        {
            AbortWith(Abortion.App);
        }
    }

    private void AbortWith(Abortion cause)
    {
        var exchange = _exchange;
        if (exchange is null || !Mark(cause, _id))
        {
            return;
        }

        exchange->Wake();
        _body.OnReadable();
        _writer.OnWritable();
    }

    /// <summary>
    /// Whether the client has been given all that was announced: leaving with that aborts nothing,
    /// whatever the app still does. By then the length cannot change.
    /// </summary>
    private bool IsAllFlushed
        => _phase == Phase.Started && _responseHeaders.ContentLength is { } length && length == _writer.Length
            && _writer.UnflushedBytes == 0 && !HasOwnCoding;

    /// <summary>
    /// Records the first cause, and that the app gives up after a client that may still listen; false
    /// when it does not count. A client that closes after the last
    /// byte of its response has not aborted anything, and the news may come while the request ends
    /// on another thread: under the lock, it either precedes the reset or finds the request over.
    /// </summary>
    private bool Mark(Abortion cause, ulong id)
    {
        CancellationTokenSource? source;
        string connection, trace;
        lock (_abortGate)
        {
            var counts = _phase is Phase.Open or Phase.Started || (cause == Abortion.App && _phase >= Phase.Ended);
            if (!counts || id != _id || IsAbortedByApp || (cause == Abortion.Client && (IsAborted || IsAllFlushed)))
            {
                return false;
            }

            _abortion = cause;
            if (cause == Abortion.App)
            {
                // Under the lock, so that it cannot hit the exchange's next request.
                Interlocked.Or(ref _exchange->Progress, ProgressFlags.Abort);
            }

            source = _abortSource;
            _spentSource ??= source;
            _abortSource = null;
            // The exchange is the request's only as long as the lock is held.
            (connection, trace) = (ConnectionId, TraceIdentifier);
        }

        if (source is not null)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                static told => told._server.Cancel(told.source, told.connection, told.trace),
                (_server, source, connection, trace),
                preferLocal: false);
        }

        ThreadPool.UnsafeQueueUserWorkItem(
            static told => told._server.TellOfAbort(told.trace, told.Item3), (_server, trace, cause == Abortion.App), preferLocal: false);
        return true;
    }

    private void EndLifetime()
    {
        _setAborted = null;
        lock (_abortGate)
        {
            _abortion = Abortion.None;
            _spentSource = null;
            if (_abortSource?.TryReset() == false)
            {
                _abortSource = null;
            }
        }
    }
}
