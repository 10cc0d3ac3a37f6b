using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.IO.Pipelines;

using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

using Ancm.Server.Native;

namespace Ancm.Server;

/// <summary>The request as the app sees it: decoded when asked for, every property settable.</summary>
internal abstract unsafe partial class HostContext :
    IHttpRequestFeature,
    IRequestBodyPipeFeature,
    IHttpRequestBodyDetectionFeature,
    IHttpMaxRequestBodySizeFeature,
    IHttpBodyControlFeature,
    IHttpRequestIdentifierFeature,
    IBadRequestExceptionFeature,
    IServerVariablesFeature
{
    private readonly RequestHeaders _requestHeaders;
    private readonly RequestBody _body;
    private readonly RequestStream _requestStream;
    private IHeaderDictionary? _setRequestHeaders;
    private Stream? _setRequestBody;
    private PipeReader? _setReader;
    private RequestReader? _reader;
    private CachedText _path;
    private CachedText _pathBase;
    private CachedText _query;
    private CachedText _target;
    private CachedText _methodText;
    private string? _method;
    private string? _protocol;
    private string? _scheme;
    private string? _traceIdentifier;
    private bool? _synchronous;
    private Dictionary<string, string>? _serverVariables;

    /// <summary>The method that the client sent, whatever the app has set since.</summary>
    internal bool IsHead { get; private set; }

    string IHttpRequestFeature.Method
    {
        get => _method ??= DecodeMethod();
        set => _method = value;
    }

    string IHttpRequestFeature.Path
    {
        get => _exchange is null ? string.Empty : _path.Get(_exchange->Path);
        set => _path.Set(value);
    }

    string IHttpRequestFeature.PathBase
    {
        get => _exchange is null ? string.Empty : _pathBase.Get(_exchange->PathBase);
        set => _pathBase.Set(value);
    }

    string IHttpRequestFeature.QueryString
    {
        get => _exchange is null ? string.Empty : _query.Get(_exchange->Query);
        set => _query.Set(value);
    }

    string IHttpRequestFeature.RawTarget
    {
        get => _exchange is null ? string.Empty : _target.Get(_exchange->Target);
        set => _target.Set(value);
    }

    string IHttpRequestFeature.Protocol
    {
        get => _protocol ??= DecodeProtocol();
        set => _protocol = value;
    }

    string IHttpRequestFeature.Scheme
    {
        get => _scheme ??= _exchange is not null && _exchange->Scheme.Len == 5 ? "https" : "http";
        set => _scheme = value;
    }

    IHeaderDictionary IHttpRequestFeature.Headers
    {
        get => _setRequestHeaders ?? _requestHeaders;
        set => _setRequestHeaders = value;
    }

    Stream IHttpRequestFeature.Body
    {
        get => _setRequestBody ?? (_body.IsUpgraded ? Stream.Null : _requestStream);
        set => _setRequestBody = value;
    }

    PipeReader IRequestBodyPipeFeature.Reader
    {
        get
        {
            if (_body.IsUpgraded && _setRequestBody is null)
            {
                return PipeReader.Create(Stream.Null);
            }

            if (_setRequestBody is null || ReferenceEquals(_setRequestBody, _requestStream))
            {
                return _reader ??= _body.Reader = new RequestReader(_body, Gate);
            }

            // The app put its own stream there; a reader must see that one.
            return _setReader ??= PipeReader.Create(_setRequestBody);
        }
    }

    bool IHttpRequestBodyDetectionFeature.CanHaveBody
        => _exchange is not null && (_exchange->Flags & RequestFlags.HasBody) != 0;

    bool IHttpMaxRequestBodySizeFeature.IsReadOnly => _body.IsLimitFixed;

    long? IHttpMaxRequestBodySizeFeature.MaxRequestBodySize
    {
        get => _body.Limit;
        set
        {
            if (_body.IsLimitFixed)
            {
                throw new InvalidOperationException(_body.IsUpgraded
                    ? "The maximum request body size cannot be modified after the request has been upgraded."
                    : "The maximum request body size cannot be modified after the app has already started reading from the request body.");
            }

            if (value < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(value), "Value must be null or a non-negative number.");
            }

            if (_settings.HostBodyLimit is { } host && (value is null || value > host))
            {
                Log.BodyLimitBeyondHost(_settings.Logger, TraceIdentifier, value, host);
            }

            _body.Limit = value;
        }
    }

    public bool AllowSynchronousIO
    {
        get => _synchronous ?? _settings.AllowSynchronousIO;
        set => _synchronous = value;
    }

    public string TraceIdentifier
    {
        get => _traceIdentifier ??= _exchange is null
            ? string.Empty
            : string.Create(CultureInfo.InvariantCulture, $"{ConnectionId}:{_exchange->RequestNumber:X8}");
        set => _traceIdentifier = value;
    }

    Exception? IBadRequestExceptionFeature.Error => _error as BadHttpRequestException;

    /// <summary>IIS' names for what is known here; what the app has set comes first.</summary>
    string? IServerVariablesFeature.this[string variableName]
    {
        get
        {
            ArgumentException.ThrowIfNullOrEmpty(variableName);
            if (_serverVariables is { } own)
            {
                lock (own)
                {
                    if (own.TryGetValue(variableName, out var value))
                    {
                        return value;
                    }
                }
            }

            return ServerVariables.Get(this, _requestHeaders, variableName);
        }

        set
        {
            ArgumentException.ThrowIfNullOrEmpty(variableName);
            ArgumentNullException.ThrowIfNull(value);
            var own = _serverVariables ??= new(StringComparer.OrdinalIgnoreCase);
            lock (own)
            {
                own[variableName] = value;
            }
        }
    }

    private void BeginRequest(NativeExchange* exchange)
    {
        IsHead = exchange->Method == MethodId.Head;
        _requestHeaders.Begin(exchange);
        _body.Begin(exchange);
        _path.Clear();
        _pathBase.Clear();
        _query.Clear();
        _target.Clear();
        _method = null;
        _protocol = null;
        _scheme = null;
        _synchronous = null;
        _traceIdentifier = null;
        BeginConnection(exchange->Connection);
    }

    private void EndRequest()
    {
        _body.End();
        _reader?.End();
        _requestHeaders.End();
        _setRequestHeaders = null;
        _setRequestBody = null;
        _setReader = null;
        _serverVariables = null;
        _trailers = null;
        EndLifetime();
    }

    private string DecodeMethod()
    {
        if (_exchange is null)
        {
            return HttpMethods.Get;
        }

        switch ((uint)_exchange->Method)
        {
            case MethodId.Get: return HttpMethods.Get;
            case MethodId.Head: return HttpMethods.Head;
            case MethodId.Post: return HttpMethods.Post;
            case MethodId.Put: return HttpMethods.Put;
            case MethodId.Delete: return HttpMethods.Delete;
            case MethodId.Options: return HttpMethods.Options;
            case MethodId.Patch: return HttpMethods.Patch;
            case MethodId.Trace: return HttpMethods.Trace;
            case MethodId.Connect: return HttpMethods.Connect;
            default:
                _methodText.Clear();
                return _methodText.Get(_exchange->MethodText);
        }
    }

    private string DecodeProtocol()
        => (_exchange is null ? 0x0101 : (int)_exchange->Version) switch
        {
            0x0100 => HttpProtocol.Http10,
            0x0200 => HttpProtocol.Http2,
            0x0300 => HttpProtocol.Http3,
            _ => HttpProtocol.Http11,
        };
}
