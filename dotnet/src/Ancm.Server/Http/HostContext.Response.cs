using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.IO.Pipelines;
using System.Threading;
using System.Threading.Tasks;

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Net.Http.Headers;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>
/// The response: status and headers until it starts, then the head in native memory, then the end.
/// </summary>
internal abstract unsafe partial class HostContext : IHttpResponseFeature, IHttpResponseBodyFeature
{
    private readonly ResponseHeaders _responseHeaders = new();
    private readonly ResponseWriter _writer;
    private readonly ResponseStream _responseStream;
    private readonly Stack<Callback> _onStarting = new(0);
    private readonly Stack<Callback> _onCompleted = new(0);
    private IHeaderDictionary? _setResponseHeaders;
    private Exception? _error;
    // The app has ended with that it is not waited for any more.
    private bool _isCutShort;
    private string? _reason;
    private int _status;
    private uint _unpublished;

    /// <summary>What the app ended with, for the log of the request.</summary>
    private protected Exception? Error => _error;

    private bool HasOnStarting => _onStarting.Count > 0;

    private bool HasOnCompleted => _onCompleted.Count > 0;

    public bool HasStarted => _phase != Phase.Open;

    /// <summary>The app is done: streams and pipes are nobody's. An early end of the response does not matter.</summary>
    internal bool IsClosed => _phase is Phase.Closed or Phase.Idle;

    internal bool IsEnded => _phase is Phase.Ended or Phase.Closed or Phase.Idle;

    int IHttpResponseFeature.StatusCode
    {
        get => _status;
        set
        {
            ThrowIfStarted("StatusCode");
            ArgumentOutOfRangeException.ThrowIfLessThan(value, 100);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(value, 999);
            _status = value;
        }
    }

    string? IHttpResponseFeature.ReasonPhrase
    {
        get => _reason;
        set
        {
            ThrowIfStarted("ReasonPhrase");
            HeaderRules.CheckReason(value);
            _reason = value;
        }
    }

    IHeaderDictionary IHttpResponseFeature.Headers
    {
        get => _setResponseHeaders ?? _responseHeaders;
        set => _setResponseHeaders = value;
    }

    Stream IHttpResponseFeature.Body
    {
        get => _responseStream;
        set => Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(value, this));
    }

    Stream IHttpResponseBodyFeature.Stream => _responseStream;

    PipeWriter IHttpResponseBodyFeature.Writer => _writer;

    public void OnStarting(Func<object, Task> callback, object state)
    {
        ThrowIfStarted("OnStarting");
        _onStarting.Push(new Callback(callback, state));
    }

    public void OnCompleted(Func<object, Task> callback, object state)
        => _onCompleted.Push(new Callback(callback, state));

    /// <summary>The engine sends what is flushed at once; there is no buffering to disable.</summary>
    public void DisableBuffering()
    {
    }

    public Task StartAsync(CancellationToken cancellationToken = default)
    {
        if (HasStarted)
        {
            return Task.CompletedTask;
        }

        cancellationToken.ThrowIfCancellationRequested();
        return TryStart() ? Task.CompletedTask : StartAfterCallbacks();
    }

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default)
        => FileSender.SendAsync(_writer, path, offset, count, cancellationToken);

    /// <summary>Whether callbacks come before the response starts.</summary>
    internal bool WaitsForCallbacks => _phase == Phase.Open && HasOnStarting;

    /// <summary>Whether a flush can start the response by itself, without callbacks to await.</summary>
    internal bool TryStart()
    {
        lock (Gate)
        {
            if (_phase == Phase.Open)
            {
                ThrowIfFailed();
                if (HasOnStarting)
                {
                    return false;
                }

                Start();
            }

            return true;
        }
    }

    /// <summary>Tells the lane that committed bytes and the head may go.</summary>
    internal void Flushed() => _exchange->Publish(HeadUnlessAborted);

    /// <summary>An abort lets go out what was flushed before it, and nothing that comes later.</summary>
    private uint HeadUnlessAborted => IsAbortedByApp ? 0 : ProgressFlags.Head;

    private void BeginResponse(NativeExchange* exchange)
    {
        _status = StatusCodes.Status200OK;
        _reason = null;
        _error = null;
        _isCutShort = false;
        _unpublished = 0;
        _responseHeaders.Begin();
        _writer.Begin(exchange, discard: IsHead);
    }

    private void EndResponse()
    {
        _writer.End();
        _responseHeaders.End();
        _setResponseHeaders = null;
        _onStarting.Clear();
        _onCompleted.Clear();
    }

    /// <summary>Encodes the head; from now on it cannot change. The client sees it at the next flush.</summary>
    private void Start(bool isOver = false)
    {
        var length = _responseHeaders.ContentLength;
        if (length < _writer.Length && StatusHasBody && !IsHead && !HasOwnCoding)
        {
            throw TooManyBytes(_writer.Length, length.Value);
        }

        if (length is not null && !StatusHasBody)
        {
            CheckLengthOfNoBody(length.Value);
        }

        if (_setResponseHeaders is { } own)
        {
            TakeOver(own);
        }

        CheckCoding();
        _phase = Phase.Started;
        if (_status < StatusCodes.Status200OK && !_body.IsUpgraded)
        {
            // Clients take it for an answer before the answer, which never comes.
            CloseAfterResponse();
        }

        var isChunked = Frame(isOver);
        _responseHeaders.Freeze();
        var head = new HeadWriter(_exchange, _status, _reason, _responseHeaders.ContentLength);
        _responseHeaders.WriteTo(ref head);
        if (isChunked)
        {
            _responseHeaders.ShowChunks();
            if (IsHead)
            {
                head.Add(HeaderNames.TransferEncoding, ResponseHeaders.Chunked);
            }
        }

        head.Finish();
        _writer.TakeEarly();
    }

    /// <summary>
    /// Steps 3 to 6 of the end. An error before the start becomes an empty answer with its status;
    /// afterwards only a connection that breaks can tell the client.
    /// </summary>
    private void EndResponse(Exception? error, bool publish = true)
    {
        Debug.Assert(Monitor.IsEntered(Gate), "Late writers would meet the end.");
        error ??= _error;
        if (error is null && LengthError() is { } mismatch)
        {
            Report(mismatch);
            error = mismatch;
        }

        var progress = HeadUnlessAborted | ProgressFlags.Ended;
        if (_phase == Phase.Open)
        {
            if (IsAbortedByApp)
            {
                // For the log: nobody else sees it.
                _status = StatusCodes.Status499ClientClosedRequest;
            }

            StartAtEnd(error);
        }
        else if ((error is not null || _isCutShort) && !_body.IsUpgraded)
        {
            // What was written arrives; that it is not the whole shows. A connection that has left HTTP
            // has no whole: it ends in order, as on Kestrel, so that nothing on its way is lost to a reset.
            progress |= ProgressFlags.Truncated;
        }

        _writer.Commit();
        _phase = Phase.Ended;
        if (publish)
        {
            // The connection's next request may come before this one is over.
            if (HasConnectionState)
            {
                _server.Lend(this);
            }

            _exchange->Publish(progress);
        }
        else
        {
            _unpublished = progress;
        }
    }

    private void StartAtEnd(Exception? error)
    {
        if (error is null && !_isCutShort)
        {
            try
            {
                Start(isOver: true);
                return;
            }
            catch (Exception invalid)
            {
                Report(invalid);
                error = invalid;
            }
        }

        ReplaceByError(error);
        Start();
    }

    private void ReplaceByError(Exception? error)
    {
        _writer.DropUncommitted();
        _setResponseHeaders = null;
        _responseHeaders.Reset();
        _responseHeaders.ContentLength = 0;
        _reason = null;
        if (error is BadHttpRequestException)
        {
            CloseAfterResponse();
        }

        _status = error switch
        {
            BadHttpRequestException bad => bad.StatusCode,
            // The client is gone: nobody sees this but the log.
            _ when IsAborted => StatusCodes.Status499ClientClosedRequest,
            _ => StatusCodes.Status500InternalServerError,
        };
    }

    /// <summary>The app replaced the whole collection; what it holds is what we send.</summary>
    private void TakeOver(IHeaderDictionary own)
    {
        _responseHeaders.Reset();
        foreach (var (name, value) in own)
        {
            _responseHeaders[name] = value;
        }
    }

    private readonly record struct Callback(Func<object, Task> Function, object State);
}
